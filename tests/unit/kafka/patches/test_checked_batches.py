"""Batches that a reader of whole topics unpacks up to a size, and hands over a part at a time."""

import asyncio
import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchError, FetchResult, PartitionRecords
from aiokafka.record.control_record import ABORT_MARKER
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from faust.types import TP

from app.kafka.patches.checked_batches import TOGETHER, check_batches
from app.kafka.patches.fetched_batches import Batches, Fetch, Unpacked

PARTITION = TP("topic", 0)
MIB = 1024 * 1024
ZSTD, TRANSACTIONAL, CONTROL = 4, 0x10, 0x20
READ_COMMITTED = 1

# Where the fields of a batch stand: Kafka's protocol guide, "Record Batch".
BASE_OFFSET, CRC, ATTRIBUTES, PRODUCER, SUMMED = 0, 17, 21, 43, 21
FIRST_DELTA = 64
"""Of the first record: its offset, after its length (a byte if it is short), flags, time."""


def batch(
    first: int,
    *values: bytes,
    codec: int = 0,
    flags: int = 0,
    key: bytes | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 512 * MIB)
    for number, value in enumerate(values):
        builder.append(number, 1000 + number, key, value, list(headers))
    encoded = bytearray(builder.build())
    struct.pack_into(">q", encoded, BASE_OFFSET, first)
    struct.pack_into(">h", encoded, ATTRIBUTES, codec | flags)
    struct.pack_into(">q", encoded, PRODUCER, 7)
    struct.pack_into(">I", encoded, CRC, calc_crc32c(bytes(encoded[SUMMED:])))
    return bytes(encoded)


class Consumer:
    """As much of aiokafka's consumer as one fetch needs."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, largest: int = MIB, most: int | None = None
    ) -> None:
        monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
        self._fetcher: Any = SimpleNamespace()
        self.position = 0
        self.shelf = check_batches(self, largest, most)

    def fetch(self, *batches: bytes, aborted: Any = None) -> None:
        records = PartitionRecords(
            PARTITION, Batches(b"".join(batches)), aborted, 0, None, None, True, READ_COMMITTED
        )

        def consumed_to(position: int) -> None:
            self.position = position

        state = SimpleNamespace(paused=False, position=0, consumed_to=consumed_to)
        self._state = state
        assignment = SimpleNamespace(active=True, state_value=lambda _: state)
        self._fetcher._records[PARTITION] = fetcher.FetchResult(
            PARTITION, assignment=assignment, partition_records=records, backoff=0
        )

    def take(self, most: int | None = None) -> list[Any]:
        taken: list[Any] = self._fetcher._records[PARTITION].getall(most)
        self._state.position = self.position
        return taken


def test_what_is_no_bomb_is_read_as_aiokafka_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = (batch(0, b"a", b"b", codec=ZSTD), batch(2, b"c"))
    plain = PartitionRecords(
        PARTITION, Batches(b"".join(sent)), None, 0, None, None, True, READ_COMMITTED
    )
    consumer = Consumer(monkeypatch)
    consumer.fetch(*sent)
    assert consumer.take() == list(plain)
    assert consumer.position == 3


@pytest.mark.parametrize(
    "bomb", [(bytes(40 * MIB),), (b"",) * 200_000], ids=["in size", "in records"]
)
def test_a_bomb_is_one_record_without_a_value(
    monkeypatch: pytest.MonkeyPatch, bomb: tuple[bytes, ...]
) -> None:
    consumer = Consumer(monkeypatch)
    consumer.fetch(batch(0, *bomb, codec=ZSTD), batch(len(bomb), b"good"))
    found = [(record.offset, record.key, record.value) for record in consumer.take()]
    assert found == [(len(bomb) - 1, None, None), (len(bomb), None, b"good")]
    assert consumer.position == len(bomb) + 1


@pytest.mark.parametrize("claimed", [0x3C, 0x3B], ids=["30", "-30"])
def test_a_batch_whose_records_claim_impossible_offsets_costs_nobody_else_s(
    monkeypatch: pytest.MonkeyPatch, claimed: int
) -> None:
    odd = bytearray(batch(0, b"a", b"b"))
    odd[FIRST_DELTA] = claimed
    struct.pack_into(">I", odd, CRC, calc_crc32c(bytes(odd[SUMMED:])))
    consumer = Consumer(monkeypatch)
    consumer.fetch(bytes(odd), batch(2, b"good"))
    found = [(record.offset, record.value) for record in consumer.take()]
    assert found == [(1, None), (2, b"good")]
    assert consumer.position == 3


def test_a_batch_of_more_records_than_its_reader_wants_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = batch(0, *[b"{}"] * 3), batch(3, *[b"{}"] * 4), batch(7, b"good")
    consumer = Consumer(monkeypatch, most=3)
    consumer.fetch(*sent)
    found = [(record.offset, record.value) for record in consumer.take()]
    assert found == [(0, b"{}"), (1, b"{}"), (2, b"{}"), (6, None), (7, b"good")]
    assert consumer.shelf.received == sum(map(len, sent))


HEAVY: dict[str, dict[str, Any]] = {
    "key": {"key": bytes(MIB)},
    "header": {"headers": [("h", bytes(MIB))]},
    "name of a header": {"headers": [("h" * MIB, b"")]},
}


@pytest.mark.parametrize("heavy", HEAVY.values(), ids=HEAVY)
def test_what_weighs_need_not_be_a_value(
    monkeypatch: pytest.MonkeyPatch, heavy: dict[str, Any]
) -> None:
    encoded = [batch(number, b"", codec=ZSTD, **heavy) for number in range(10)]
    consumer = Consumer(monkeypatch, largest=2 * MIB)
    consumer.fetch(*encoded)
    assert 0 < len(consumer.take()) <= TOGETHER / MIB
    fetched = PartitionRecords(
        PARTITION, Batches(b"".join(encoded)), None, 0, None, None, True, READ_COMMITTED
    )
    assert 0 < len(Unpacked(fetched).take(3 * MIB)) <= 3


def test_no_more_is_handed_over_than_is_wanted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer(monkeypatch)
    consumer.fetch(*(batch(number, bytes(MIB), codec=ZSTD) for number in range(10)))
    taken: list[int] = []
    while len(taken) < 10:
        some = consumer.take()
        assert 0 < sum(len(record.value) for record in some) <= TOGETHER
        taken += [record.offset for record in some]
    assert taken == list(range(10))
    consumer.fetch(batch(0, b"a", b"b", b"c"))
    consumer.position = 0
    assert [record.offset for record in consumer.take(2)] == [0, 1]


@pytest.mark.parametrize("replaced", [FetchResult, Fetch], ids=["alone", "in a worker"])
def test_aiokafka_takes_it_for_a_result(
    monkeypatch: pytest.MonkeyPatch, replaced: type[FetchResult]
) -> None:
    monkeypatch.setattr(fetcher, "FetchResult", replaced)
    consumer = Consumer(monkeypatch)
    consumer.fetch(batch(0, b"a"))
    # How `Fetcher.fetched_records` tells results from errors.
    assert type(consumer._fetcher._records[PARTITION]) is fetcher.FetchResult


def test_what_a_transaction_aborted_stays_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer(monkeypatch)
    marker = struct.pack(">hh", 0, ABORT_MARKER.type_)
    consumer.fetch(
        batch(0, b"aborted", flags=TRANSACTIONAL),
        batch(1, b"", flags=TRANSACTIONAL | CONTROL, key=marker),
        batch(2, b"kept", flags=TRANSACTIONAL),
        aborted=[(7, 0)],
    )
    assert [record.value for record in consumer.take()] == [b"kept"]


def test_an_error_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer(monkeypatch)
    error = FetchError(error=asyncio.CancelledError(), backoff=0)
    consumer._fetcher._records[PARTITION] = error
    assert consumer._fetcher._records[PARTITION] is error
