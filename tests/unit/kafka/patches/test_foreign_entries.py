"""What somebody else wrote to a table's changelog, when the table is read."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from faust import Schema
from faust.exceptions import KeyDecodeError
from faust.types import TP

from app.application import Persister, create_app
from app.kafka.patches.foreign_entries import NO_ENTRY, Sieve
from app.kafka.unreadable import Unreadable
from app.settings import load
from app.storing.guard.entries import is_entry

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


async def test_a_record_without_digests_is_no_entry(app: Persister) -> None:
    assert (await read(app, b'"0/5"', ENTRY[:16]))[0] == NO_ENTRY


def sieve(most: int = 100, most_bytes: int = 10_000) -> Sieve:
    return Sieve(is_entry, most, most_bytes)


def sent(offset: int, key: bytes | None, value: bytes | None = ENTRY) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value)


def offsets(records: list[Any]) -> list[int]:
    return [record.offset for record in records]


CHANGELOG = TP(TOPIC, 2)


def test_of_each_key_the_last_entry_is_passed_on() -> None:
    growing = [sent(0, b'"2/5"'), sent(1, b'"2/6"'), sent(2, b'"2/5"', ENTRY * 2)]
    assert offsets(sieve().sift(CHANGELOG, growing)) == [1, 2]


def test_what_is_gone_is_passed_on_if_it_was_there() -> None:
    one = sieve()
    one.sift(CHANGELOG, [sent(0, b'"2/5"')])
    then = [
        sent(1, b'"2/5"', None),
        sent(2, b'"2/6"', None),
        sent(3, b'"2/7"'),
        sent(4, b'"2/7"', None),
    ]
    assert offsets(one.sift(CHANGELOG, then)) == [1, 4]
    assert offsets(one.sift(CHANGELOG, [sent(5, b'"2/5"', None)])) == []


@pytest.mark.parametrize(
    "key,value",
    [
        (b"nokey", ENTRY),
        (None, ENTRY),
        (b'"x/y"', ENTRY),
        (b'"1/5"', ENTRY),
        (b'"2/5"', ENTRY[:16]),
        (b'"2/5"', ENTRY[:17]),
        (b'"2/5"', b"\x7f\xf8" + bytes(30)),
    ],
)
def test_what_no_worker_writes_is_passed_over(key: bytes | None, value: bytes) -> None:
    assert sieve().sift(CHANGELOG, [sent(0, key, value)]) == []


def test_no_more_entries_are_passed_on_than_the_table_can_need() -> None:
    one = sieve(most=3)
    many = [sent(at, b'"2/%d"' % at) for at in range(5)]
    assert offsets(one.sift(CHANGELOG, many)) == [0, 1, 2]
    assert offsets(one.sift(CHANGELOG, [sent(5, b'"2/0"'), sent(6, b'"2/9"')])) == [5], "known ones"
    assert offsets(one.sift(CHANGELOG, [sent(7, b'"2/1"', None), sent(8, b'"2/9"')])) == [7, 8]
    assert offsets(one.sift(TP(TOPIC, 1), [sent(0, b'"1/0"')])) == [0], "each partition by itself"


def test_nor_more_bytes() -> None:
    one = sieve(most_bytes=64)
    assert offsets(one.sift(CHANGELOG, [sent(0, b'"2/0"'), sent(1, b'"2/1"', ENTRY * 2)])) == [0]
    assert offsets(one.sift(CHANGELOG, [sent(2, b'"2/0"', ENTRY * 2)])) == [2]
    assert offsets(one.sift(CHANGELOG, [sent(3, b'"2/0"'), sent(4, b'"2/1"')])) == [3, 4]


def test_a_changelog_that_is_read_again_has_the_same_room() -> None:
    one = sieve(most=2)
    assert offsets(one.sift(CHANGELOG, [sent(0, b'"2/0"'), sent(1, b'"2/1"')])) == [0, 1]
    again = [sent(0, b'"2/0"'), sent(1, b'"2/1"'), sent(2, b'"2/2"')]
    assert offsets(one.sift(CHANGELOG, again)) == [0, 1]


def test_one_that_is_read_on_has_no_more_room() -> None:
    one = sieve(most=2)
    assert offsets(one.sift(CHANGELOG, [sent(0, b'"2/0"'), sent(1, b'"2/1"')])) == [0, 1]
    assert offsets(one.sift(CHANGELOG, [sent(1, b'"2/1"'), sent(2, b'"2/2"')])) == [1]


def test_it_is_said_once_where_it_is_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    one = sieve()
    with caplog.at_level(logging.WARNING):
        one.sift(CHANGELOG, [sent(6, b"nokey", None)])
        for offset in (7, 9):
            one.sift(CHANGELOG, [sent(offset, b"nokey"), sent(offset + 1, b"nokey")])
    (said,) = caplog.messages
    assert said.startswith(f"{TOPIC}: partition 2, offset 7 is no entry of the guard")
    assert "2 of the records" in said
    assert "Let nobody but the persister write" in said


def test_a_batch_that_cannot_be_unpacked_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    one = sieve()
    with caplog.at_level(logging.WARNING):
        assert one.sift(CHANGELOG, [Unreadable(7, 0, b"encoded", "why")]) == []
    assert "offset 7 is no entry" in caplog.text


def test_of_a_partition_that_comes_back_nothing_is_counted_in() -> None:
    """Also where compaction has removed all that was read before."""
    one = sieve(most=2)
    assert offsets(one.sift(CHANGELOG, [sent(0, b'"2/0"'), sent(1, b'"2/1"')])) == [0, 1]
    one.forget({CHANGELOG})
    assert offsets(one.sift(CHANGELOG, [sent(5, b'"2/2"'), sent(6, b'"2/3"')])) == [5, 6]
