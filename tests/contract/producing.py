"""What a producer meets, on `tests.fakes.kafka` as on a real broker."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import pytest
from aiokafka.errors import (
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    UnknownTopicOrPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from app.kafka.clients import BATCH_BYTES
from app.kafka.producer import BatchProducer, Outgoing, partition_of
from app.settings import Compression

LIMIT = 1_048_588
"""Kafka's default `max.message.bytes`."""

LARGE = 3_000_000


class Kafka(Protocol):
    """A broker, real or not."""

    async def create(self, topic: str, partitions: int = 1, limit: int = LIMIT) -> str:
        """Create a topic; returns its full name."""

    async def client(self) -> Any:
        """A connected `AIOKafkaProducer`, or what stands for one."""

    async def producer(self, compressed: dict[str, Compression] | None = None) -> BatchProducer:
        """What is tested; not connected yet."""

    async def values(self, topic: str) -> dict[int, list[bytes]]:
        """What stands in each partition that is not empty."""


def small(count: int, start: int = 0) -> list[Outgoing]:
    """Records with keys of their own, that are told apart by their values."""
    return [Outgoing(f"{n:032x}".encode(), b"%d" % n) for n in range(start, start + count)]


def large(name: str, size: int = LARGE, partition: int | None = None) -> Outgoing:
    """A record that no compression makes small."""
    return Outgoing(name.encode(), name.encode() + os.urandom(size), [], partition)


def values(records: Sequence[Outgoing]) -> Counter[bytes | None]:
    return Counter(record.value for record in records)


def stored(found: dict[int, list[bytes]]) -> Counter[bytes | None]:
    return Counter(chain.from_iterable(found.values()))


class TestClients:
    """What aiokafka and the broker do together: the reason why clients are discarded."""

    async def send(self, client: Any, topic: str, value: bytes, partition: int = 0) -> None:
        batch = BatchBuilder(BATCH_BYTES, 0)
        batch.append(timestamp=None, key=None, value=value)
        await (await client.send_batch(batch, topic, partition=partition))

    async def test_a_refused_batch_leaves_a_gap(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 2)
        client = await kafka.client()
        await self.send(client, topic, b"before")
        with pytest.raises(MessageSizeTooLargeError):
            await self.send(client, topic, b"x" * LARGE)
        for _ in range(2):
            with pytest.raises(OutOfOrderSequenceNumber):
                await self.send(client, topic, b"after")
        await self.send(client, topic, b"elsewhere", partition=1)
        assert await kafka.values(topic) == {0: [b"before"], 1: [b"elsewhere"]}

    async def test_where_nothing_was_written_yet_there_is_no_gap(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        client = await kafka.client()
        with pytest.raises(MessageSizeTooLargeError):
            await self.send(client, topic, b"x" * LARGE)
        await self.send(client, topic, b"after")
        assert await kafka.values(topic) == {0: [b"after"]}

    async def test_a_new_client_writes_where_another_has_a_gap(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        client = await kafka.client()
        await self.send(client, topic, b"before")
        with pytest.raises(MessageSizeTooLargeError):
            await self.send(client, topic, b"x" * LARGE)
        await self.send(await kafka.client(), topic, b"after")
        assert await kafka.values(topic) == {0: [b"before", b"after"]}

    async def test_a_limit_counts_the_batch_and_not_its_records(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 1, 1000)
        client = await kafka.client()
        batch = BatchBuilder(BATCH_BYTES, 0)
        for _ in range(20):
            batch.append(timestamp=None, key=None, value=b"x" * 100)
        with pytest.raises(MessageSizeTooLargeError):
            await (await client.send_batch(batch, topic, partition=0))

    async def test_a_topic_that_is_not_there_has_no_partitions(self, kafka: Kafka) -> None:
        client = await kafka.client()
        with pytest.raises(UnknownTopicOrPartitionError):
            await client.partitions_for(await kafka.create("a") + "-b")


class TestTooLarge:
    """One record that is too large costs one record."""

    async def test_records_sent_after_it_arrive(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 8)
        producer = await kafka.producer()
        assert await producer.send(topic, small(5)) == []
        refused = large("large")
        assert await producer.send(topic, [refused]) == [refused]
        assert await producer.send(topic, small(2000, 5)) == []
        assert stored(await kafka.values(topic)) == values(small(2005))

    async def test_records_around_it_arrive_in_order(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        refused = large("large")
        records = [*small(500), refused, *small(500, 500)]
        assert await (await kafka.producer()).send(topic, records) == [refused]
        assert (await kafka.values(topic))[0] == [one.value for one in small(1000)]

    async def test_several_in_a_row_are_each_refused(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        refused = [large(f"large{number}") for number in range(3)]
        records = [*small(2), *refused, *small(2, 2), refused[0], *small(2, 4)]
        found = await (await kafka.producer()).send(topic, records)
        assert found == [*refused, refused[0]]
        assert (await kafka.values(topic))[0] == [one.value for one in small(6)]

    async def test_each_partition_refuses_only_its_own(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 4)
        producer = await kafka.producer()
        refused = [large(f"large{number}", partition=number) for number in range(4)]
        for start in (0, 100):
            found = await producer.send(
                topic, [*small(50, start), *refused, *small(50, start + 50)]
            )
            assert values(found) == values(refused)
        assert stored(await kafka.values(topic)) == values(small(200))

    async def test_others_that_send_meanwhile_lose_nothing(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 2)
        producer = await kafka.producer()
        refused = [large(f"large{number}", partition=0) for number in range(3)]

        async def send(start: int) -> list[Outgoing]:
            mixed = [refused[start // 100 % 3]] if start % 200 == 0 else []
            return await producer.send(topic, [*small(50, start), *mixed, *small(50, start + 50)])

        found = await asyncio.gather(*map(send, range(0, 1000, 100)))
        assert sum(map(len, found)) == 5
        assert stored(await kafka.values(topic)) == values(small(1000))

    async def test_two_topics_refuse_it_at_once(self, kafka: Kafka) -> None:
        topics = [await kafka.create("documents", 2), await kafka.create("letters")]
        producer = await kafka.producer()
        for number in range(3):
            refused = large(f"large{number}")
            records = [*small(20, number * 20), refused]
            found = await asyncio.gather(*(producer.send(topic, records) for topic in topics))
            assert found == [[refused], [refused]]
        for topic in topics:
            assert stored(await kafka.values(topic)) == values(small(60))

    @pytest.mark.parametrize("compression", [Compression.NONE, Compression.SNAPPY])
    async def test_batches_that_are_too_large_are_sent_in_parts(
        self, kafka: Kafka, compression: Compression
    ) -> None:
        topic = await kafka.create("topic", 1, 20_000)
        producer = await kafka.producer({topic: compression})
        refused = large("large", 20_000)
        records = [large(f"medium{number}", 5_000) for number in range(300)]
        for start in (0, 150):
            part = [*records[start : start + 75], refused, *records[start + 75 : start + 150]]
            assert await producer.send(topic, part) == [refused]
        assert (await kafka.values(topic))[0] == [record.value for record in records]

    async def test_the_compressed_size_counts(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        record = Outgoing(b"key", b"x" * LARGE)
        assert await (await kafka.producer()).send(topic, [record]) == [record]
        producer = await kafka.producer({topic: Compression.SNAPPY})
        assert await producer.send(topic, [record]) == []
        assert await kafka.values(topic) == {0: [record.value]}

    async def test_records_up_to_the_limit_pass(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 1, 1000)
        sizes = range(900, 1000)
        records = [Outgoing(None, b"x" * size) for size in sizes]
        refused = await (await kafka.producer()).send(topic, records)
        fitting = [record for record in records if record not in refused]
        assert (await kafka.values(topic))[0] == [record.value for record in fitting]
        assert 20 < len(refused) < 80


class TestMissing:
    """A topic that does not exist, or no longer."""

    async def test_it_is_waited_for_whatever_becomes_of_the_client(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic")
        producer = await kafka.producer()
        missing = f"{topic}-missing"
        waiting = asyncio.create_task(producer.send(missing, small(3)))
        assert not await producer.answers(missing, 0.5)
        for number in range(2):
            refused = large(f"large{number}")
            assert await producer.send(topic, [refused]) == [refused], "which costs a client"
        assert not waiting.done()
        assert await kafka.create("topic-missing") == missing
        assert await waiting == []
        assert (await kafka.values(missing))[0] == [record.value for record in small(3)]


class TestPartitions:
    """Where a record goes."""

    async def test_the_key_decides(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 4)
        records = small(100)
        assert await (await kafka.producer()).send(topic, records) == []
        expected: dict[int, list[bytes]] = {}
        for record in records:
            expected.setdefault(partition_of(record.key, 4), []).append(record.value or b"")
        assert await kafka.values(topic) == expected

    async def test_a_given_partition_decides(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 4)
        records = [Outgoing(b"key", b"%d" % number, [], number) for number in range(4)]
        assert await (await kafka.producer()).send(topic, records) == []
        assert await kafka.values(topic) == {number: [b"%d" % number] for number in range(4)}

    async def test_it_is_told_where_records_stand(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 3)
        producer = await kafka.producer()
        told: dict[tuple[int, int], bytes | None] = {}

        def acknowledged(records: Sequence[Outgoing], offset: int) -> None:
            for place, record in enumerate(records, offset):
                told[partition_of(record.key, 3), place] = record.value

        refused = large("large")
        assert await producer.send(topic, [*small(50), refused], acknowledged) == [refused]
        assert await producer.send(topic, small(50, 50), acknowledged) == []
        assert told == {
            (partition, offset): value
            for partition, found in (await kafka.values(topic)).items()
            for offset, value in enumerate(found)
        }

    async def test_without_either_all_are_used(self, kafka: Kafka) -> None:
        topic = await kafka.create("topic", 2)
        producer = await kafka.producer()
        for _ in range(50):
            assert await producer.send(topic, [Outgoing(None, b"x")]) == []
        assert set(await kafka.values(topic)) == {0, 1}
