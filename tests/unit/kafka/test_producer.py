"""What `BatchProducer` does beside what the fake has in common with a real broker."""

import asyncio
import gc
import logging
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerNotAvailableError,
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    ReplicaNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownProducerId,
)
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition

from app.kafka.clients import RECORD_OVERHEAD
from app.kafka.patches.unpacked_size import SLACK
from app.kafka.producer import BatchProducer, Outgoing, close_client, partition_of
from app.settings import Compression, KafkaSettings
from tests.fakes.kafka import FakeBroker
from tests.fakes.time import until

BATCH = 170
"""Bytes that a batch takes: two records of 40."""

SOON = 0.05


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.producer.RETRY_SECONDS", 0)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.kafka.producer.BATCH_BYTES", BATCH)


@pytest.fixture
def broker() -> FakeBroker:
    made = FakeBroker()
    made.create("t")
    return made


def producer(
    broker: FakeBroker,
    compression: Compression = Compression.SNAPPY,
    answer_timeout: float = 60.0,
    end: Callable[[str, KafkaError], None] | None = None,
) -> BatchProducer:
    return BatchProducer(
        KafkaSettings(),
        {"compressed": compression},
        answer_timeout=answer_timeout,
        new_client=broker.client,
        end=end,
    )


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


async def test_records_of_a_key_keep_their_order_in_full_batches(broker: FakeBroker) -> None:
    broker.create("many", 4)
    values = [bytes([number]) * 40 for number in range(5)]
    assert await producer(broker).send("many", records(*values, key=b"k")) == []
    (found,) = broker.values("many").values()
    assert found == values
    assert [batches for batches in broker.batches["many"].values() if batches] == [[2, 2, 1]]


async def test_nothing_to_send_is_nothing_sent(broker: FakeBroker) -> None:
    assert await producer(broker).send("t", []) == []
    assert broker.clients == []


async def test_a_record_larger_than_a_batch_goes_alone(broker: FakeBroker) -> None:
    large = b"x" * (BATCH * 3)
    assert await producer(broker).send("t", records(b"a", large, b"b")) == []
    assert broker.values("t")[0] == [b"a", large, b"b"]
    assert broker.batches["t"][0] == [1, 1, 1]


@pytest.mark.parametrize("compression", Compression)
async def test_each_compression_is_one_that_a_consumer_reads(
    broker: FakeBroker, compression: Compression
) -> None:
    broker.create("compressed")
    values = [b"x" * 40, b"y" * 40]
    assert await producer(broker, compression).send("compressed", records(*values)) == []
    assert broker.values("compressed")[0] == values
    ((_, used),) = broker.codecs
    assert bool(used) is (compression is not Compression.NONE)


async def test_documents_and_dead_letters_are_compressed(broker: FakeBroker) -> None:
    """Uncompressed, 217 KB of tiny bad records became 41 MB of dead letters."""
    made = BatchProducer(KafkaSettings(), new_client=broker.client)
    topics = ("persister-documents", "persister-dead-letters", "other")
    for topic in topics:
        broker.create(topic)
        assert await made.send(topic, records(b"x" * 40, b"x" * 40)) == []
    snappy = DefaultRecordBatch.CODEC_SNAPPY
    assert broker.codecs == {*zip(topics, (snappy, snappy, 0), strict=True)}


async def test_what_no_reader_would_decompress_is_not_compressed(broker: FakeBroker) -> None:
    broker.create("compressed", limit=1 << 25)
    most = KafkaSettings().max_record_bytes + SLACK
    for size in (most - RECORD_OVERHEAD, most):
        assert {("compressed", 0)}.isdisjoint(broker.codecs)
        assert await producer(broker).send("compressed", records(bytes(size))) == []
    assert broker.codecs == {("compressed", DefaultRecordBatch.CODEC_SNAPPY), ("compressed", 0)}
    sizes = [len(value) for value in broker.values("compressed")[0]]
    assert sizes == [most - RECORD_OVERHEAD, most]


async def test_only_the_topics_that_are_said_to_be_are_compressed(broker: FakeBroker) -> None:
    broker.create("compressed")
    for topic in ("t", "compressed"):
        assert await producer(broker).send(topic, records(b"x" * 40, b"y" * 40)) == []
    assert broker.codecs == {("t", 0), ("compressed", DefaultRecordBatch.CODEC_SNAPPY)}


@pytest.mark.parametrize(
    "error",
    [
        InvalidProducerEpoch,
        KafkaError,
        KafkaTimeoutError,
        NotLeaderForPartitionError,
        OutOfOrderSequenceNumber,
        ProducerFenced,
        UnknownProducerId,
        BrokerNotAvailableError,
        CorruptRecordException,
        ReplicaNotAvailableError,
        UnknownError,
    ],
)
async def test_a_batch_that_fails_is_sent_again_by_another_client(
    broker: FakeBroker, error: type[KafkaError]
) -> None:
    broker.failures = [error(), error()]
    made = producer(broker)
    values = [bytes([number]) * 40 for number in range(5)]
    assert await made.send("t", records(*values)) == []
    assert broker.values("t")[0] == values
    await made.stop()
    assert [client.stopped for client in broker.clients] == [True, True, True]


async def test_what_does_not_pass_is_raised_and_says_where(broker: FakeBroker) -> None:
    broker.failures = [TopicAuthorizationFailedError("t")]
    with pytest.raises(TopicAuthorizationFailedError) as raised:
        await producer(broker).send("t", records(b"a"))
    assert raised.value.__notes__ == ["while sending to t/0"]
    assert broker.values("t") == {}


async def test_what_does_not_pass_ends_a_worker_and_is_no_defect_of_its_agents(
    broker: FakeBroker,
) -> None:
    broker.failures = [TopicAuthorizationFailedError("t")]
    told: list[tuple[str, KafkaError]] = []
    made = producer(broker, end=lambda *refused: told.append(refused))
    sending = asyncio.create_task(made.send("t", records(b"a")))
    await asyncio.wait([sending], timeout=SOON)
    [(topic, error)] = told
    assert (topic, type(error)) == ("t", TopicAuthorizationFailedError)
    assert not sending.done(), "until it is stopped"
    sending.cancel()


async def test_a_client_that_gets_no_answer_is_replaced(broker: FakeBroker) -> None:
    # All brokers have moved: aiokafka's client never looks at the bootstrap addresses again.
    broker.answering = False
    sending = asyncio.create_task(producer(broker, answer_timeout=SOON).send("t", records(b"a")))
    await asyncio.wait_for(broker.made(3), 5)
    broker.answering = True
    assert await sending == []
    assert broker.values("t")[0] == [b"a"]
    assert broker.clients[0].stopped


@pytest.mark.parametrize("gives_up", ["the producer", "who sends"])
async def test_an_error_for_which_nobody_waits_any_more_is_not_reported(
    broker: FakeBroker, gives_up: str
) -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: reported.append(told))
    broker.answering = False
    seconds = SOON if gives_up == "the producer" else 60.0
    sending = asyncio.create_task(producer(broker, answer_timeout=seconds).send("t", records(b"a")))
    await asyncio.wait_for(broker.arrived.wait(), 5)
    if gives_up == "the producer":
        await asyncio.wait_for(broker.made(2), 5)
        broker.clients[0].stopped = False  # aiokafka's still tries for a while
    sending.cancel()
    await asyncio.wait([sending])
    broker.failures = [NotLeaderForPartitionError() for _ in broker.clients]
    broker.answering = True
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []


async def test_records_wait_for_the_connection(broker: FakeBroker) -> None:
    broker.refused_starts = 3
    assert await producer(broker).send("t", records(b"a")) == []
    assert [client.stopped for client in broker.clients] == [True, True, True, False]


async def test_there_is_no_trouble_once_it_is_connected(broker: FakeBroker) -> None:
    """Nothing is sent meanwhile."""
    broker.refused_starts = 1000
    made = producer(broker)
    connecting = made.connect_soon()
    await until(lambda: made.trouble == "Kafka does not take records of any topic")
    broker.refused_starts = 0
    await connecting
    assert made.trouble == ""


async def test_who_stops_waiting_leaves_the_connection_to_the_others(broker: FakeBroker) -> None:
    broker.refused_starts = 1000
    made = producer(broker)
    impatient, patient = (
        asyncio.create_task(made.send("t", records(value))) for value in (b"a", b"b")
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    broker.refused_starts = 0
    assert await patient == []
    assert broker.values("t")[0] == [b"b"]


async def test_connecting_at_the_start_is_tried_once(broker: FakeBroker) -> None:
    broker.refused_starts = 1
    made = producer(broker)
    with pytest.raises(KafkaConnectionError):
        await made.start()
    await made.start()
    assert await made.send("t", records(b"a")) == []
    assert len(broker.clients) == 2


async def test_a_missing_right_to_connect_is_raised(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_self: object) -> None:
        raise ClusterAuthorizationFailedError

    monkeypatch.setattr("tests.fakes.kafka.FakeClient.start", refuse)
    with pytest.raises(ClusterAuthorizationFailedError):
        await producer(broker).send("t", records(b"a"))


async def test_a_topic_that_has_lost_partitions_is_looked_at_again(broker: FakeBroker) -> None:
    broker.create("many", 4)
    made = producer(broker)
    values = [b"%d" % number for number in range(20)]
    outgoing = [Outgoing(value, value) for value in values]
    assert await made.send("many", outgoing[:10]) == []
    broker.create("many", 1)
    assert await made.send("many", outgoing[10:]) == []
    assert sorted(broker.values("many")[0]) == values[10:]


async def test_failing_and_recovering_are_each_said_once(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.failures = [NotLeaderForPartitionError() for _ in range(5)]
    made = producer(broker)
    for _ in range(3):
        assert await made.send("t", records(b"a")) == []
    failing, recovered = caplog.messages
    assert failing.startswith("Sending to t fails")
    assert recovered == "Kafka takes records of t again"


async def test_a_topic_that_refuses_batches_gets_smaller_ones_from_then_on(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.create("narrow", 1, BATCH // 2 + 50)
    made = producer(broker)
    for _ in range(10):
        assert await made.send("narrow", records(b"x" * 40, b"y" * 40)) == []
    assert broker.batches["narrow"][0] == [1] * 20
    assert len(broker.clients) == 2
    assert len(caplog.messages) == 1


async def test_nothing_is_sent_after_the_stop(broker: FakeBroker) -> None:
    made = producer(broker)
    assert await made.send("t", records(b"a")) == []
    await made.stop()
    with pytest.raises(ProducerClosed):
        await made.send("t", records(b"b"))
    assert len(broker.clients) == 1


async def test_a_client_that_does_not_stop_is_given_up(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_self: object) -> None:
        await asyncio.Event().wait()

    made = producer(broker)
    assert await made.send("t", records(b"a")) == []
    monkeypatch.setattr("tests.fakes.kafka.FakeClient.stop", hang)
    await made.stop(SOON)
    assert broker.clients[0].stopped


@pytest.mark.parametrize("in_flight", [False, True])
async def test_giving_a_client_up_leaves_no_task_of_aiokafka_behind(*, in_flight: bool) -> None:
    never = asyncio.Event()
    client = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    client._sender._sender_task = asyncio.create_task(never.wait())
    accumulator = client._message_accumulator
    batch = client.create_batch()
    batch.append(key=None, value=b"a", timestamp=None)
    place = TopicPartition("t", 0)
    acknowledged = await accumulator.add_batch(batch, place, timeout=1)
    if in_flight:
        accumulator._pop_batch(place)
    await close_client(client, SOON)
    with pytest.raises(ProducerClosed):
        await asyncio.wait_for(acknowledged, 5)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, waiting = await asyncio.wait(left, timeout=SOON)
        assert not waiting


async def test_what_kafka_does_not_acknowledge_is_known(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.kafka.producer.LATE_SECONDS", 0.0)
    made = producer(broker)
    assert made.trouble == ""
    broker.answering = False
    sending = asyncio.create_task(made.send("t", records(b"a")))
    await asyncio.wait_for(broker.arrived.wait(), 5)
    await asyncio.sleep(0)
    assert made.trouble == "Kafka does not take records of t"
    sending.cancel()
    await asyncio.wait([sending])
    assert made.trouble == ""


async def test_who_comes_with_a_discarded_client_is_none_of_the_next_ones_that_wait(
    broker: FakeBroker,
) -> None:
    """Its time was up at once, and the end of the next client in the same turn ended the worker."""
    made: Any = producer(broker)
    await made.start()
    discarded = made._client
    made._discard(discarded)
    await made.start()

    async def wait() -> None:
        async with made._while_used(discarded, "t"):
            await asyncio.Event().wait()

    async def discard() -> None:
        await asyncio.sleep(0)
        made._discard(made._client)

    came, ended = await asyncio.gather(wait(), discard(), return_exceptions=True)
    await made.stop()
    assert (type(came), ended) == (KafkaTimeoutError, None)
