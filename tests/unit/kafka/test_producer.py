"""Batches per partition, sent until they are acknowledged."""

import asyncio
import zlib
from collections import defaultdict
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from app.kafka.producer import Outbox, Outgoing, partition_of
from app.settings import Compression, KafkaSettings

BATCH = 170
"""Bytes that a batch takes: two records of 40."""


def written(batch: BatchBuilder) -> DefaultRecordBatch:
    """A batch as a broker gets it."""
    return DefaultRecordBatch(bytes(batch._build()))


class Producer:
    """Kafka, as a producer sees it.

    Attributes:
        acknowledged: Values by partition.
        codecs: Topics and how their batches were compressed.
        failures: What the next batches fail with.
    """

    def __init__(self, partitions: int) -> None:
        self.acknowledged: defaultdict[int, list[list[bytes]]] = defaultdict(list)
        self.codecs: set[tuple[str, int]] = set()
        self.attempts = 0
        self.failures: list[Exception] = []
        self._partitions = partitions

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(self._partitions))

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> Any:
        self.attempts += 1
        acknowledged = asyncio.get_running_loop().create_future()
        if self.failures:
            acknowledged.set_exception(self.failures.pop(0))
        else:
            encoded = written(batch)
            self.codecs.add((topic, encoded.compression_type))
            self.acknowledged[partition].append([record.value for record in encoded])
            acknowledged.set_result(None)
        return acknowledged


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.producer.RETRY_SECONDS", 0)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.producer.BATCH_BYTES", BATCH)


def outbox(producer: Producer, compression: Compression = Compression.SNAPPY) -> Outbox:
    made = Outbox(KafkaSettings(), {"compressed": compression})
    made._producer = producer
    return made


def records(*values: bytes, key: bytes | None = None) -> list[Outgoing]:
    return [Outgoing(key, value) for value in values]


@pytest.mark.parametrize("partitions", [1, 4, 7])
def test_a_key_has_one_partition_that_never_changes(partitions: int) -> None:
    assert (
        partition_of(b"abc", partitions)
        == zlib.crc32(b"abc") % partitions
        == 891568578 % partitions
    )
    assert partition_of(None, partitions) == 0


def test_keys_are_spread_over_all_partitions() -> None:
    assert {partition_of(f"{number:032x}".encode(), 8) for number in range(200)} == set(range(8))


async def test_records_of_a_key_keep_their_order_in_full_batches() -> None:
    producer = Producer(4)
    values = [bytes([number]) * 40 for number in range(5)]
    assert await outbox(producer).send("t", records(*values, key=b"k")) == []
    (batches,) = producer.acknowledged.values()
    assert batches == [values[:2], values[2:4], values[4:]]


async def test_nothing_to_send_is_nothing_sent() -> None:
    producer = Producer(1)
    assert await outbox(producer).send("t", []) == []
    assert producer.attempts == 0


async def test_a_record_larger_than_a_batch_goes_alone() -> None:
    producer = Producer(1)
    large = b"x" * (BATCH * 3)
    assert await outbox(producer).send("t", records(b"a", large, b"b")) == []
    assert producer.acknowledged[0] == [[b"a"], [large], [b"b"]]


@pytest.mark.parametrize("compression", Compression)
async def test_each_compression_is_one_that_a_consumer_reads(compression: Compression) -> None:
    producer = Producer(1)
    made = outbox(producer, compression)
    values = [b"x" * 40, b"y" * 40]
    assert await made.send("compressed", records(*values)) == []
    assert producer.acknowledged[0] == [values]
    ((_, used),) = producer.codecs
    assert bool(used) is (compression is not Compression.NONE)


async def test_only_the_topics_that_are_said_to_be_are_compressed() -> None:
    producer = Producer(1)
    values = [b"x" * 40, b"y" * 40, b"z" * 40]
    for topic in ("plain", "compressed"):
        assert await outbox(producer).send(topic, records(*values)) == []
    assert producer.codecs == {("plain", 0), ("compressed", DefaultRecordBatch.CODEC_SNAPPY)}
    assert producer.acknowledged[0] == [values[:2], values[2:]] * 2


@pytest.mark.parametrize("error", [KafkaTimeoutError, NotLeaderForPartitionError])
async def test_what_can_pass_is_tried_until_it_does(error: type[Exception]) -> None:
    producer = Producer(1)
    producer.failures = [error(), error(), error()]
    assert await outbox(producer).send("t", records(b"a", b"b")) == []
    assert producer.acknowledged[0] == [[b"a", b"b"]]
    assert producer.attempts == 4


async def test_what_does_not_pass_is_raised() -> None:
    producer = Producer(1)
    producer.failures = [TopicAuthorizationFailedError()]
    with pytest.raises(TopicAuthorizationFailedError):
        await outbox(producer).send("t", records(b"a"))
    assert producer.attempts == 1


async def test_a_record_that_is_too_large_is_given_back_and_the_rest_is_sent() -> None:
    producer = Producer(1)
    producer.failures = [MessageSizeTooLargeError()]
    large = Outgoing(b"k", b"x" * BATCH)
    assert await outbox(producer).send("t", [large, *records(b"a", b"b")]) == [large]
    assert producer.acknowledged[0] == [[b"a", b"b"]]


async def test_a_batch_that_is_too_large_is_a_topic_that_is_set_up_wrong() -> None:
    producer = Producer(1)
    producer.failures = [MessageSizeTooLargeError()]
    with pytest.raises(MessageSizeTooLargeError):
        await outbox(producer).send("t", records(b"a", b"b"))
