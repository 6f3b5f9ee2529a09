"""What somebody else wrote to a table's changelog, when the table is read."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from faust import Schema
from faust.exceptions import KeyDecodeError
from faust.types import TP

from app.application import Persister, create_app
from app.kafka.patches.foreign_entries import NO_ENTRY
from app.settings import load

TOPIC = "persister-guard-changelog"
ENTRY = b"\x41" + bytes(31)


@pytest.fixture
def app() -> Persister:
    return create_app(load())


async def read(
    app: Persister, key: bytes | None, value: bytes | None, offset: int = 7
) -> tuple[str, bytes | None]:
    """As it comes out of the changelog topic of the guard's table."""
    message: Any = SimpleNamespace(
        key=key, value=value, headers=[], tp=TP(TOPIC, 2), offset=offset, topic=TOPIC, partition=2
    )
    event: Any = await app.guard_table.changelog_topic.decode(message, propagate=True)
    return event.key, event.value


async def test_an_entry_is_read(app: Persister) -> None:
    assert await read(app, b'"0/5"', ENTRY) == ("0/5", ENTRY)
    assert await read(app, b'"0/5"', None) == ("0/5", None)


@pytest.mark.parametrize(
    "key,value",
    [
        (b"nokey", ENTRY),
        (b"\xff", ENTRY),
        (b"", ENTRY),
        (None, ENTRY),
        (b"5", ENTRY),
        (b"null", ENTRY),
        (b'["0/5"]', ENTRY),
        (b'{"a":[1]}', ENTRY),
        (b"[" * 100_000, ENTRY),
        (b"9" * 5000, ENTRY),
        (b'"x/y"', ENTRY),
        (b'"0/5"', b"abc"),
        (b'"0/5"', b""),
        (b"nokey", None),
    ],
)
async def test_what_is_no_entry_is_read_as_none(
    app: Persister, key: bytes | None, value: bytes | None
) -> None:
    assert (await read(app, key, value))[0] == NO_ENTRY


async def test_faust_would_not_count_it_as_read(app: Persister) -> None:
    message: Any = SimpleNamespace(key=b"nokey", value=ENTRY, headers=[])
    schema: Schema[str, bytes] = Schema(key_type=str, value_type=bytes, key_serializer="json")
    with pytest.raises(KeyDecodeError):
        await schema.compile(app)(message, propagate=True)


async def test_it_is_said_once_where_it_is_and_what_to_do(
    app: Persister, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await read(app, b"nokey", None)
        for offset in (7, 8):
            await read(app, b"nokey", b"x", offset)
    (said,) = caplog.messages
    assert said.startswith(f"{TOPIC}: partition 2, offset 7 is no entry of the guard")
    assert "Let nobody but the persister write" in said
