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


class Reading:
    """A sieve, and what Faust makes of what it passes on.

    Args:
        most: entries that each half has room for.
        end: the last offset of the changelog.
    """

    def __init__(self, most: int = 100, most_bytes: int = 10_000, end: int | None = None) -> None:
        self.sieve = Sieve(is_entry, 2 * most, 2 * most_bytes, end=lambda _: end)
        self.table: dict[bytes, bytes] = {}
        self.read_to = -1
        self.passed = 0
        self.progress: list[int] = []

    def sift(self, tp: TP, records: list[Any]) -> list[int]:
        """Read on; returns the offsets of what was passed on."""
        found, read_to = self.sieve.sift(tp, records, records[-1].offset)
        for record in found:
            # Faust takes only offsets that grow.
            assert record.offset > self.read_to
            self.read_to = record.offset
            self.passed += 1
            if record.value is None:
                self.table.pop(record.key, None)
            else:
                self.table[record.key] = record.value
        assert read_to >= self.read_to
        self.read_to = read_to
        self.progress.append(read_to)
        return [record.offset for record in found]


def sieve() -> Sieve:
    return Sieve(is_entry, 200, 20_000, end=lambda _: None)


def sent(offset: int, key: bytes | None, value: bytes | None = ENTRY) -> Any:
    return SimpleNamespace(offset=offset, key=key, value=value, timestamp=0, timestamp_type=1)


def sift(one: Sieve, *records: Any) -> list[int]:
    return [record.offset for record in one.sift(CHANGELOG, records, records[-1].offset)[0]]


CHANGELOG = TP(TOPIC, 2)


def test_of_each_key_the_last_entry_is_passed_on() -> None:
    growing = [sent(0, b'"2/5"'), sent(1, b'"2/6"'), sent(2, b'"2/5"', ENTRY * 2)]
    assert sift(sieve(), *growing) == [1, 2]


def test_what_is_gone_is_passed_on_if_it_was_there() -> None:
    one = sieve()
    sift(one, sent(0, b'"2/5"'))
    then = [
        sent(1, b'"2/5"', None),
        sent(2, b'"2/6"', None),
        sent(3, b'"2/7"'),
        sent(4, b'"2/7"', None),
    ]
    assert sift(one, *then) == [1, 4]
    assert sift(one, sent(5, b'"2/5"', None)) == []


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
    assert sift(sieve(), sent(0, key, value)) == []


def numbered(*offsets: int) -> list[Any]:
    return [sent(at, b'"2/%d"' % at) for at in offsets]


def keys(*offsets: int) -> list[bytes]:
    return [b'"2/%d"' % at for at in offsets]


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_of_too_many_entries_the_newest_reach_the_table(at_once: int) -> None:
    """An operator has allowed the guard fewer records than it has remembered so far."""
    one = Reading(most=5, end=99)
    for start in range(0, 100, at_once):
        one.sift(CHANGELOG, numbered(*range(start, min(100, start + at_once))))
    assert set(one.table) == {*keys(*range(5)), *keys(*range(95, 100))}
    assert (one.passed, one.read_to) == (10, 99)
    assert one.progress == sorted(one.progress), "recovery is seen to move"


def test_what_is_held_back_is_passed_on_as_it_stood_at_the_end() -> None:
    one = Reading(most=3, end=8)
    one.sift(CHANGELOG, numbered(0, 1, 2, 3))
    one.sift(CHANGELOG, [sent(4, b'"2/3"', ENTRY * 2), sent(5, b'"2/0"', None)])
    one.sift(CHANGELOG, [sent(6, b'"2/7"'), sent(7, b'"2/7"', None), sent(8, b'"2/9"', None)])
    assert one.table == {b'"2/1"': ENTRY, b'"2/2"': ENTRY, b'"2/3"': ENTRY * 2}


def test_of_too_many_bytes_those_of_the_newest_entries_reach_the_table() -> None:
    one = Reading(most_bytes=64, end=9)
    one.sift(CHANGELOG, numbered(0, 1, 2, 3))
    one.sift(CHANGELOG, [sent(4, b'"2/4"', ENTRY * 2), *numbered(5, 6, 7, 8, 9)])
    assert list(one.table) == keys(0, 1, 8, 9)
    one = Reading(most_bytes=64, end=2)
    one.sift(CHANGELOG, [*numbered(0, 1), sent(2, b'"2/2"', ENTRY * 3)])
    assert list(one.table) == keys(0, 1), "too large by itself"


def test_each_partition_has_room_of_its_own() -> None:
    one = Reading(most=1, end=10)
    assert one.sift(CHANGELOG, numbered(0, 1)) == [0]
    found, _ = one.sieve.sift(TP(TOPIC, 1), [sent(0, b'"1/0"')], 0)
    assert [record.offset for record in found] == [0]


@pytest.mark.parametrize("again", [0, 4], ids=["from the start", "from the last record"])
def test_a_changelog_that_is_read_again_leaves_the_same_table(again: int) -> None:
    one = Reading(most=2, end=5)
    one.sift(CHANGELOG, numbered(0, 1, 2, 3, 4))
    one.read_to = again - 1
    one.sift(CHANGELOG, numbered(*range(again, 6)))
    assert set(one.table) == set(keys(0, 1, 4, 5))


def test_it_is_said_once_where_it_is_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    one = sieve()
    with caplog.at_level(logging.WARNING):
        sift(one, sent(6, b"nokey", None))
        for offset in (7, 9):
            sift(one, sent(offset, b"nokey"), sent(offset + 1, b"nokey"))
    (said,) = caplog.messages
    assert said.startswith(f"{TOPIC}: partition 2, offset 7 is no entry of the guard")
    assert "2 of the records" in said
    assert "Let nobody but the persister write" in said


def test_a_batch_that_cannot_be_unpacked_is_said_too(caplog: pytest.LogCaptureFixture) -> None:
    one = sieve()
    with caplog.at_level(logging.WARNING):
        assert sift(one, Unreadable(7, 0, b"encoded", "why")) == []
    assert "offset 7 is no entry" in caplog.text


def test_of_a_partition_that_comes_back_nothing_is_counted_in() -> None:
    """Also where compaction has removed all that was read before."""
    one = Reading(most=2, end=9)
    assert one.sift(CHANGELOG, numbered(0, 1, 2)) == [0, 1]
    one.sieve.forget({CHANGELOG})
    one.read_to = -1
    assert one.sift(CHANGELOG, numbered(5, 6)) == [5, 6]
    assert one.sift(CHANGELOG, numbered(9)) == [9]
