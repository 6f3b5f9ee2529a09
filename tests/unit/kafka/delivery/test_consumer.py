"""The consumer between Faust and Kafka: what it fetches, seeks, delivers and commits."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import UnknownTopicOrPartitionError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import Message
from yarl import URL

from app.kafka.delivery import Callbacks, Chunk, ChunkEvent, ChunkTopic, Transport, chunk_events
from app.kafka.delivery import consumer as module
from app.kafka.delivery.consumer import Consumer
from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.thread import ConsumerThread
from app.settings import KafkaSettings
from tests.fakes.consumer_thread import FakeConsumerThread
from tests.fakes.time import Steps, Time, until
from tests.support import record

FIRST, SECOND, OTHER = TP("chunked", 0), TP("chunked", 1), TP("plain", 0)
DEADLINE = 10.0


class Around:
    """The worker around the consumer, in as far as the consumer asks for it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.lost: list[tuple[TP, int]] = []
        self.held: set[TP] = set()
        self.committing: Callable[[], object] = lambda: None
        self.finished: list[Chunk] = []

    def before_commits(self) -> None:
        self.committing()

    def transport(self, app: faust.App) -> Transport:
        return Transport(
            [URL("kafka://nowhere")],
            app,
            kafka=KafkaSettings(),
            ledger=self.ledger,
            shutdown_deadline=DEADLINE,
            callbacks=Callbacks(
                held=lambda tp: tp in self.held,
                finished=self.finished.append,
                committing=self.before_commits,
                lost=lambda tp, count: self.lost.append((tp, count)),
                end=lambda _: None,
            ),
        )


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def app() -> faust.App:
    return faust.App("test", broker="kafka://nowhere", set_as_current=False)


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def kafka() -> FakeConsumerThread:
    return FakeConsumerThread({FIRST, SECOND})


@pytest.fixture
def channel(app: faust.App) -> ChunkTopic:
    return ChunkTopic(app, topics=("chunked",))


@pytest.fixture
async def consumer(
    app: faust.App, around: Around, kafka: FakeConsumerThread, channel: ChunkTopic
) -> Any:
    made = around.transport(app).create_consumer(
        nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing
    )
    assert isinstance(made, Consumer)
    untyped: Any = made
    untyped._thread = kafka
    kafka.revocations = lambda: made.assignments
    topics: Any = app.topics
    topics._topic_name_index["chunked"] = {channel}
    topics._topic_name_index["plain"] = {app.topic("plain")}
    topics._tp_index[FIRST] = topics._tp_index[SECOND] = {channel}
    untyped.app.producer = SimpleNamespace(flush=nothing)
    untyped.app._attachments = SimpleNamespace(publish_for_tp_offset=nothing)
    return made


def records(*offsets: int) -> list[Any]:
    return [record(b"value", offset) for offset in offsets]


async def begin(consumer: Consumer) -> None:
    """What Faust does at the end of its recovery."""
    await consumer.perform_seek()
    consumer.resume_flow()


async def recovered(app: faust.App, consumer: Consumer) -> None:
    """Faust's own end of a recovery, from the moment at which the guard's table is read."""
    untyped: Any = app
    untyped._consumer = consumer
    untyped._fetcher = SimpleNamespace(maybe_start=nothing)
    await untyped.tables.recovery.on_recovery_completed(app.consumer_generation_id)


async def nothing(*_: Any) -> None:
    """Does nothing."""


async def fetch(consumer: Consumer, *active: TP) -> dict[TP, list[Any]]:
    fetched = await consumer._getmany(set(active or (FIRST, SECOND)), 1.0)
    return {tp: list(chunks) for tp, chunks in fetched.items()}


async def found_out(consumer: Consumer) -> None:
    """Return once the consumer knows all that it asks for beside its fetches."""
    untyped: Any = consumer
    await until(lambda: not untyped._futures)


def deliver(consumer: Consumer, chunk: Chunk) -> Message:
    message: Message = consumer._to_message(chunk.tp, chunk)
    consumer.track_message(message)
    return message


async def deliver_next(
    consumer: Consumer, kafka: FakeConsumerThread, tp: TP, *offsets: int
) -> Message:
    kafka.fetched.append({tp: records(*offsets)})
    ((chunk,),) = (await fetch(consumer)).values()
    return deliver(consumer, chunk)


async def test_a_fetched_list_is_delivered_as_one_chunk(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    kafka.fetched = [{FIRST: records(0, 1, 2)}]
    ((chunk,),) = (await fetch(consumer)).values()
    assert isinstance(chunk, Chunk)
    assert [one.offset for one in chunk.records] == [0, 1, 2]
    message: Any = consumer._to_message(FIRST, chunk)
    assert (message.tp, message.offset) == (FIRST, 2)
    assert message.value is chunk


async def test_topics_that_are_not_chunked_pass_unchanged(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    plain = records(7)
    kafka.fetched = [{OTHER: plain}]
    assert await fetch(consumer, OTHER) == {OTHER: plain}


async def test_what_has_no_position_yet_is_not_fetched(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    assert await fetch(consumer, FIRST, OTHER) == {}
    assert kafka.asked == [{OTHER}]


async def test_what_an_older_fetch_brings_before_the_first_seek_is_discarded(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.fetched = [{FIRST: records(5)}]
    assert await fetch(consumer, OTHER) == {FIRST: []}


async def test_each_partition_starts_where_the_group_committed_or_at_the_logs_start(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 5}
    kafka.never_committed = {SECOND}
    kafka.earliest[SECOND] = 3
    await begin(consumer)
    # Faust leaves a partition that was never committed where the fetcher happens to stand.
    assert {tp: to for seek in kafka.seeks for tp, to in seek.items()} == {FIRST: 5, SECOND: 3}
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (5, 3)


async def test_what_faust_throws_away_at_the_end_of_its_recovery_reaches_its_agent_all_the_same(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App, channel: ChunkTopic
) -> None:
    """It empties the queues in front of the agents when it resumes, after it has sought."""
    kafka.committed = {FIRST: 5}
    came: list[int] = []

    async def pass_on(*offsets: int) -> None:
        kafka.fetched.append({FIRST: records(*offsets)})
        for chunks in (await fetch(consumer)).values():
            for chunk in chunks:
                event: Any = deliver(consumer, chunk)
                channel.queue.put_nowait(event)

    seek_wait = kafka.seek_wait

    async def fetch_meanwhile(partitions: Mapping[TP, int]) -> None:
        await seek_wait(partitions)
        await pass_on(5, 6)

    untyped: Any = kafka
    untyped.seek_wait = fetch_meanwhile
    consumer._active_partitions = {FIRST, SECOND}
    await recovered(app, consumer)
    kafka.fetched.clear()
    await pass_on(5, 6, 7)
    while not channel.queue.empty():
        came += [one.offset for one in channel.queue.get_nowait().value.records]
    assert came == [5, 6, 7]


@pytest.mark.parametrize("known", [True, False])
async def test_what_comes_while_faust_makes_its_index_of_topics_anew_is_a_chunk_all_the_same(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    channel: ChunkTopic,
    known: bool,  # noqa: FBT001 - of the list above
) -> None:
    """A record on its own ended the agent, and with it the worker."""
    if known:
        assert consumer.delivers_chunks(FIRST)
    else:
        app.topics.add(channel)
    conductor: Any = app.topics
    conductor._topic_name_index.clear()
    await begin(consumer)
    kafka.fetched.append({FIRST: records(0, 1)})
    (chunk,) = (await fetch(consumer))[FIRST]
    assert isinstance(chunk, Chunk)


async def test_a_seek_that_a_revocation_has_passed_sets_no_positions(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """Kafka tells the new generation only with the next assignment."""
    ends = kafka.extents

    async def revoke(partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        await consumer.on_partitions_revoked({FIRST, SECOND})
        return await ends(partitions)

    untyped: Any = kafka
    untyped.extents = revoke
    await begin(consumer)
    assert consumer.ledger.position(FIRST) is None


async def test_nothing_is_sought_while_flow_stands(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1)
    kafka.seeks.clear()
    consumer.stop_flow()
    await consumer.perform_seek()
    assert kafka.seeks == []
    consumer.ack(message)
    assert consumer._filter_committable_offsets([]) == {FIRST: 2}


async def test_a_partition_is_sought_even_at_zero(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.never_committed = {SECOND}
    await begin(consumer)
    assert {tp: to for seek in kafka.seeks for tp, to in seek.items()} == {FIRST: 0, SECOND: 0}


async def test_an_end_that_a_new_leader_does_not_know_yet_is_asked_for_again(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "sleep", Time().sleep)
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.ends[FIRST] = 20
    ends = kafka.extents

    async def know_soon(partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        known = await ends(partitions)
        kafka.ends[FIRST] = 100
        return known

    untyped: Any = kafka
    untyped.extents = know_soon
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (50, 50)
    assert "re-created" not in caplog.text


async def test_a_log_that_begins_after_its_end_is_asked_about_again_and_nothing_counts_as_lost(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    around: Around,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time()
    monkeypatch.setattr(consumer, "sleep", time.sleep)
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.earliest[FIRST] = 10**15
    ends, asked = kafka.extents, 0

    async def come_to_reason(partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        nonlocal asked
        asked += 1
        if asked == 4:
            kafka.earliest[FIRST] = 0
        return await ends(partitions)

    untyped: Any = kafka
    untyped.extents = come_to_reason
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (50, 50)
    assert around.lost == []
    (line,) = [line for line in caplog.messages if "asking again" in line]
    assert "begins at offset 1000000000000000 and ends at 100" in line


async def test_a_log_that_keeps_beginning_after_its_end_keeps_no_other_from_its_position(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    around: Around,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumer, "sleep", Time().sleep)
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.earliest[FIRST] = 101
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (None, 50)
    assert (around.lost, kafka.rejoins) == ([], 1)


async def test_a_partition_that_is_gone_keeps_no_other_from_its_position(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.gone = {FIRST}
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (None, 50)


async def test_a_partition_without_a_leader_keeps_no_other_from_its_position(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its only broker is down: no worker that had it could begin, or go on after a rebalance."""
    steps = Steps()
    monkeypatch.setattr(consumer, "sleep", steps.sleep)
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.leaderless = {FIRST}
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (None, 50)
    await steps.step()
    assert kafka.rejoins == 0
    kafka.leaderless = set()
    await steps.end()
    await found_out(consumer)
    assert kafka.rejoins == 1
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (50, 50)


async def test_a_partition_without_a_leader_is_not_asked_for_its_epochs(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions would wait once more for one that does not answer."""
    asked: list[TP] = []

    async def overwritten(partitions: Iterable[TP]) -> dict[TP, int]:
        asked.extend(partitions)
        return {}

    monkeypatch.setattr(consumer, "sleep", Steps().sleep)
    monkeypatch.setattr(kafka, "overwritten", overwritten)
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.leaderless = {FIRST}
    await begin(consumer)
    assert asked == [SECOND]


async def test_after_a_rebalance_nobody_waits_for_a_leader_any_more(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps()
    monkeypatch.setattr(consumer, "sleep", steps.sleep)
    kafka.leaderless = {FIRST}
    await begin(consumer)
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    await steps.end()
    await found_out(consumer)
    assert kafka.rejoins == 0


async def test_where_a_group_begins_is_committed_so_that_it_knows_later_what_was_lost(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    kafka.never_committed = {FIRST, SECOND}
    kafka.earliest[SECOND] = 3
    await begin(consumer)
    assert consumer._filter_committable_offsets([]) == {FIRST: 0, SECOND: 3}
    assert around.lost == []


async def test_what_is_lost_before_anything_was_stored_is_reported(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    kafka.committed = {FIRST: 0}
    kafka.earliest[FIRST] = 3
    await begin(consumer)
    assert around.lost == [(FIRST, 3)]


async def test_a_partition_that_comes_while_positions_are_set_is_left_to_its_own_seek(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 5, SECOND: 1047}
    kafka.assigned = {FIRST}
    answer = kafka.seek_to_committed

    async def answer_and_assign() -> dict[TP, int | None]:
        committed = await answer()
        kafka.assigned = {FIRST, SECOND}
        return committed

    untyped: Any = kafka
    untyped.seek_to_committed = answer_and_assign
    await begin(consumer)
    assert consumer.ledger.position(SECOND) is None
    assert SECOND not in consumer._filter_committable_offsets([])


async def test_positions_of_an_older_generation_are_not_taken(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App
) -> None:
    kafka.committed = {FIRST: 5}
    ends = kafka.extents

    async def rebalance(partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        app.consumer_generation_id += 1
        return await ends(partitions)

    untyped: Any = kafka
    untyped.extents = rebalance
    await begin(consumer)
    assert consumer.ledger.position(FIRST) is None


async def test_a_seek_forgets_chunks_that_were_delivered_before(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1)
    await begin(consumer)
    consumer.ack(message)
    assert consumer._filter_committable_offsets([]) == {}
    assert consumer.ledger.position(FIRST) == 0


async def test_a_jump_ahead_is_fetched_again(consumer: Consumer, kafka: FakeConsumerThread) -> None:
    await begin(consumer)
    kafka.seeks.clear()
    kafka.fetched = [{FIRST: records(4, 5)}, {FIRST: records(0, 1)}]
    assert await fetch(consumer) == {FIRST: []}
    assert kafka.seeks == [{FIRST: 0}]
    ((chunk,),) = (await fetch(consumer)).values()
    assert chunk.first_offset == 0


async def test_a_partition_that_is_revoked_during_a_rewind_is_forgotten(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    kafka.assigned = {SECOND}
    kafka.fetched = [{FIRST: records(4)}]
    assert await fetch(consumer) == {FIRST: []}
    assert consumer.ledger.position(FIRST) is None


async def test_a_hole_of_compaction_is_passed_and_no_loss(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    await begin(consumer)
    kafka.fetched = [{FIRST: records(4)}] * 3
    for _ in range(2):
        assert await fetch(consumer) == {FIRST: []}
    await found_out(consumer)
    ((chunk,),) = (await fetch(consumer)).values()
    assert kafka.seeks[1:] == [{FIRST: 0}, {FIRST: 4}]
    consumer.ack(deliver(consumer, chunk))
    assert around.lost == []
    assert consumer._filter_committable_offsets([]) == {FIRST: 5}


async def test_a_hole_that_retention_made_is_reported_as_loss(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(consumer)
    kafka.earliest[FIRST] = 3
    kafka.fetched = [{FIRST: records(4)}, {FIRST: records(4)}]
    await fetch(consumer)
    with caplog.at_level(logging.ERROR):
        await fetch(consumer)
        await found_out(consumer)
    assert around.lost == [(FIRST, 3)]
    assert "Lost 3 records of chunked/0" in caplog.text
    assert "offsets 0 to 2" in caplog.text


async def test_a_loss_of_everything_is_reported_before_the_next_record(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(consumer)
    kafka.fetched = [{FIRST: records(0, 1)}]
    ((chunk,),) = (await fetch(consumer)).values()
    message = deliver(consumer, chunk)
    kafka.earliest[FIRST] = kafka.ends[FIRST] = 5
    kafka.ahead = {FIRST, SECOND}
    with caplog.at_level(logging.ERROR):
        await fetch(consumer)
        await found_out(consumer)
    assert around.lost == [(FIRST, 3)]
    assert "offsets 2 to 4" in caplog.text
    assert consumer._filter_committable_offsets([]) == {}
    consumer.ack(message)
    assert consumer._filter_committable_offsets([]) == {FIRST: 5}
    kafka.ahead = {FIRST}
    await fetch(consumer)
    await found_out(consumer)
    assert around.lost == [(FIRST, 3)]


async def test_a_log_without_a_leader_keeps_no_other_partition_waiting(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    """Kafka may take 40 s to say where it begins and ends."""
    await begin(consumer)
    kafka.answering.clear()
    kafka.earliest[FIRST] = 3
    kafka.ahead = {FIRST}
    await deliver_next(consumer, kafka, SECOND, 0, 1)
    kafka.fetched = [{FIRST: records(4)}, {FIRST: records(4)}]
    for _ in range(2):
        assert await fetch(consumer) == {FIRST: []}
    await deliver_next(consumer, kafka, SECOND, 2, 3)
    assert kafka.asked == [{FIRST, SECOND}] * 3 + [{SECOND}]
    assert (consumer.ledger.position(FIRST), around.lost) == (0, [])
    kafka.answering.set()
    await found_out(consumer)
    assert around.lost == [(FIRST, 3)]
    assert await deliver_next(consumer, kafka, FIRST, 4)


async def test_what_kafka_says_of_a_log_counts_only_for_the_position_that_was_asked_about(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    around: Around,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await begin(consumer)
    told: asyncio.Future[dict[TP, tuple[int, int]]] = asyncio.get_running_loop().create_future()
    with monkeypatch.context() as slow:
        slow.setattr(kafka, "extents", lambda _: told)
        kafka.ahead = {FIRST}
        await fetch(consumer)
        await asyncio.sleep(0)
    await consumer.on_partitions_revoked({FIRST, SECOND})
    await begin(consumer)
    told.set_result({FIRST: (3, 100)})
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), around.lost) == (0, [])


async def test_a_log_that_is_said_to_begin_after_its_end_is_not_believed(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    await begin(consumer)
    kafka.earliest[FIRST], kafka.ends[FIRST] = 5, 3
    kafka.ahead = {FIRST}
    await fetch(consumer)
    await found_out(consumer)
    assert around.lost == []
    assert consumer.ledger.position(FIRST) == 0


OLD, NEW = b"chunked".ljust(16), b"another".ljust(16)


async def test_a_topic_that_is_recreated_is_read_from_its_start_after_a_rebalance(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50, SECOND: 60}
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 50, 51)
    await consumer.look_for_recreated()
    assert kafka.rejoins == 0
    kafka.ids = {"chunked": NEW}
    for _ in range(2):
        await consumer.look_for_recreated()
    assert kafka.rejoins == 1, "until positions are set anew, they are in no topic"
    kafka.earliest[FIRST] = 2
    consumer.ack(message)
    assert consumer._filter_committable_offsets([]) == {}
    kafka.fetched = [{FIRST: records(52)}]
    assert await fetch(consumer) == {}
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (2, 0)
    await consumer.look_for_recreated()
    assert kafka.rejoins == 1


async def test_a_member_of_an_older_version_reads_a_recreated_topic_from_its_start_too(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no ids, and gets the partition from the rebalance of a rolling upgrade."""
    kafka.committed = {FIRST: 50, SECOND: 60}
    await begin(consumer)
    kafka.ids = {"chunked": NEW}
    commits_before = []

    async def rejoin() -> None:
        commits_before.extend(kafka.commits)

    monkeypatch.setattr(kafka, "rejoin", rejoin)
    await consumer.look_for_recreated()
    assert commits_before == [{FIRST: 0, SECOND: 0}]
    assert kafka.noted == {FIRST: NEW, SECOND: NEW}


async def recreated_during_a_commit(
    consumer: Consumer, kafka: FakeConsumerThread
) -> tuple[asyncio.Event, Awaitable[object]]:
    """Have the topic made again while a commit waits; what lets it go on, and what is under way."""
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0, 1))
    going_on = asyncio.Event()
    flushed: Any = consumer.app.producer
    flushed.flush = going_on.wait
    committing = asyncio.create_task(consumer.commit())
    untyped: Any = consumer
    await until(lambda: untyped._commit_fut)
    kafka.ids = {"chunked": NEW}
    looking = asyncio.create_task(consumer.look_for_recreated())
    await until(lambda: consumer.ledger.position(FIRST) is None)
    return going_on, asyncio.gather(committing, looking)


async def test_the_start_of_a_recreated_topic_is_committed_after_what_was_finished_of_the_old_one(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    going_on, under_way = await recreated_during_a_commit(consumer, kafka)
    going_on.set()
    await under_way
    assert kafka.commits == [{FIRST: 2}, {FIRST: 0, SECOND: 0}]
    assert kafka.noted == {FIRST: NEW, SECOND: NEW}


async def test_the_start_of_a_recreated_topic_is_not_committed_once_positions_are_set_anew(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App
) -> None:
    """Somebody else may have read on in it by then."""
    going_on, under_way = await recreated_during_a_commit(consumer, kafka)
    revoking = asyncio.create_task(rebalance(consumer, app, revoked={FIRST, SECOND}))
    await until(lambda: consumer.assignments)
    going_on.set()
    await asyncio.gather(under_way, revoking)
    assert (kafka.commits, kafka.rejoins) == ([{FIRST: 2}], 0)
    await consumer.commit()
    assert kafka.commits == [{FIRST: 2}]


async def test_a_recreated_topic_whose_start_kafka_does_not_take_is_still_read_from_it(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50, SECOND: 60}
    await begin(consumer)
    kafka.ids = {"chunked": NEW}
    kafka.refused = dict.fromkeys([FIRST, SECOND], UnknownTopicOrPartitionError)
    await consumer.look_for_recreated()
    assert (kafka.rejoins, kafka.committed[FIRST]) == (1, 50)
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (0, 0)


async def test_whoever_gets_a_partition_knows_of_which_topic_the_committed_offset_is(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """The other worker has committed it after the topic was re-created; this one never saw it."""
    kafka.ids = {"chunked": NEW}
    kafka.committed = {FIRST: 50, SECOND: 60}
    kafka.noted = {FIRST: OLD, SECOND: NEW}
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (0, 60)
    assert "chunked/0 was deleted and re-created since it was read up to offset 50" in caplog.text
    await consumer.commit()
    assert (kafka.commits, kafka.noted[FIRST]) == ([{FIRST: 0}], NEW)


async def test_what_is_finished_of_a_recreated_topic_is_committed_as_of_the_old_one(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1)
    kafka.ids = {"chunked": NEW}
    consumer.ack(message)
    await consumer.commit()
    assert (kafka.committed[FIRST], kafka.noted[FIRST]) == (2, OLD)
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 0


async def test_a_commit_under_way_is_none_of_the_positions_that_are_set_meanwhile(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 50, 51))
    going_on = asyncio.Event()
    flushed: Any = consumer.app.producer
    flushed.flush = going_on.wait
    committing = asyncio.create_task(consumer.commit())
    untyped: Any = consumer
    await until(lambda: untyped._commit_fut)
    kafka.ids = {"chunked": NEW}
    seeking = asyncio.create_task(begin(consumer))
    await asyncio.sleep(0)
    going_on.set()
    await asyncio.gather(committing, seeking)
    assert (kafka.committed[FIRST], kafka.noted[FIRST]) == (52, OLD)
    assert consumer.ledger.position(FIRST) == 0


@pytest.mark.parametrize("shorter", [True, False])
async def test_a_commit_under_way_says_up_to_which_epoch_was_read_when_it_was_made(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    shorter: bool,  # noqa: FBT001 - of the list above
) -> None:
    """With the next leader's epoch nobody would notice that what it passes over is new."""
    await begin(consumer)
    kafka.epochs = {FIRST: 3}
    consumer.ack(await deliver_next(consumer, kafka, FIRST, *range(50)))
    going_on = asyncio.Event()
    flushed: Any = consumer.app.producer
    flushed.flush = going_on.wait
    committing = asyncio.create_task(consumer.commit())
    untyped: Any = consumer
    await until(lambda: untyped._commit_fut)
    if shorter:
        kafka.ends[FIRST], kafka.lost = 35, {FIRST: 30}
        kafka.fetched = [{FIRST: records(0, 1)}]
        await fetch(consumer)
    else:
        consumer.lost_end(FIRST, 30)
    await found_out(consumer)
    await deliver_next(consumer, kafka, FIRST, *range(30, 40))
    kafka.epochs = {FIRST: 5}
    going_on.set()
    await committing
    assert (kafka.committed[FIRST], kafka.noted_epochs[FIRST]) == (50, 3)
    await consumer.commit()
    assert (kafka.committed[FIRST], kafka.noted_epochs[FIRST]) == (30, 5)


async def test_a_commit_says_the_epoch_of_what_stands_before_its_offset(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of what was fetched behind it, which the next leader may lack."""
    monkeypatch.setattr(kafka, "epoch_before", lambda _tp, offset: offset // 50)
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, *range(50)))
    await deliver_next(consumer, kafka, FIRST, *range(50, 100))
    await consumer.commit()
    assert (kafka.committed[FIRST], kafka.noted_epochs[FIRST]) == (50, 1)


async def test_what_was_committed_without_an_id_is_committed_with_it(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """An older version has committed it, and nothing may come for long."""
    kafka.committed = {FIRST: 50, SECOND: 60}
    kafka.noted = {FIRST: None}
    await begin(consumer)
    await consumer.commit()
    assert (kafka.commits, kafka.noted) == ([{FIRST: 50}], {FIRST: OLD})


async def test_an_id_that_kafka_does_not_tell_at_first_is_committed_later(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50, SECOND: 60}
    kafka.noted = dict.fromkeys(kafka.committed)
    kafka.tells_ids = False
    await begin(consumer)
    await consumer.look_for_recreated()
    await consumer.commit()
    kafka.tells_ids = True
    await consumer.look_for_recreated()
    await consumer.commit()
    assert kafka.commits == [kafka.committed]
    assert kafka.noted == dict.fromkeys(kafka.committed, OLD)
    kafka.ids = {"chunked": NEW}
    await consumer.look_for_recreated()
    assert kafka.rejoins == 1


async def test_an_id_that_kafka_does_not_tell_any_more_is_still_committed(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.tells_ids = False
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0, 1))
    await consumer.commit()
    assert (kafka.committed[FIRST], kafka.noted[FIRST]) == (2, OLD)


async def test_what_kafka_tells_while_positions_are_set_anew_is_not_of_the_old_ones(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(consumer)
    ask = kafka.topic_ids

    async def meanwhile(*asked: Any) -> dict[TP, bytes]:
        kafka.ids = {"chunked": NEW}
        with monkeypatch.context() as answering:
            answering.setattr(kafka, "topic_ids", ask)
            await begin(consumer)
        return await ask(*asked)

    monkeypatch.setattr(kafka, "topic_ids", meanwhile)
    await consumer.look_for_recreated()
    assert kafka.rejoins == 0


async def test_a_topic_that_was_recreated_is_read_from_its_start(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.committed = {FIRST: 500}
    kafka.ends[FIRST] = 2
    with caplog.at_level(logging.WARNING):
        await begin(consumer)
    assert consumer.ledger.position(FIRST) == 0
    assert {tp: to for seek in kafka.seeks for tp, to in seek.items()}[FIRST] == 0
    assert around.lost == []
    assert "chunked/0 was read up to offset 500, but ends at 2" in caplog.text


async def test_a_log_that_was_cut_and_written_on_is_read_from_the_cut(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.committed = {FIRST: 60, SECOND: 70}
    kafka.cut = {FIRST: 50}
    await begin(consumer)
    positions = [consumer.ledger.position(tp) for tp in (FIRST, SECOND)]
    assert positions == [50, 70]
    assert {tp: to for seek in kafka.seeks for tp, to in seek.items()}[FIRST] == 50
    assert around.lost == []
    assert "chunked/0 was read up to offset 60, but Kafka has lost its end" in caplog.text


async def test_a_topic_that_is_recreated_while_it_is_read_is_read_from_its_start(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """Brokers before 2.8 tell no ids: its end is what gives it away."""
    kafka.tells_ids, kafka.noted = False, {FIRST: None}
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    kafka.ends[FIRST] = 2
    kafka.fetched = [{FIRST: records(0, 1)}]
    assert await fetch(consumer) == {FIRST: []}
    await found_out(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1)
    consumer.ack(message)
    assert consumer._filter_committable_offsets([]) == {FIRST: 2}


async def test_a_log_that_loses_its_end_while_it_is_read_is_read_from_there(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0, 1, 2))
    late = await deliver_next(consumer, kafka, FIRST, 3, 4)
    await consumer.commit()
    consumer.lost_end(FIRST, 2)
    await found_out(consumer)
    assert consumer.ledger.position(FIRST) == 2
    assert "chunked/0 was read up to offset 5, but Kafka has lost its end since" in caplog.text
    assert kafka.seeks[-1] == {FIRST: 2}
    assert kafka.went_back == [(FIRST, 2, False)]
    consumer.ack(late)  # of the log that is no more
    await consumer.commit()
    assert kafka.commits == [{FIRST: 3}, {FIRST: 2}]
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 2, 3))
    assert consumer._filter_committable_offsets([]) == {FIRST: 4}


async def test_what_is_not_finished_comes_again_when_a_log_loses_its_end(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """Its chunks count no more, and a commit of the cut would pass over them."""
    await begin(consumer)
    late = await deliver_next(consumer, kafka, FIRST, *range(50))
    await deliver_next(consumer, kafka, FIRST, *range(50, 70))
    consumer.lost_end(FIRST, 30)
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.seeks[-1]) == (0, {FIRST: 0})
    assert kafka.went_back == [(FIRST, 0, False)]
    consumer.ack(late)
    await consumer.commit()
    assert kafka.commits == []


async def test_what_is_not_finished_comes_again_when_a_log_is_shorter_than_what_was_read(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, *range(20)))
    await deliver_next(consumer, kafka, FIRST, *range(20, 50))
    kafka.ends[FIRST], kafka.lost = 35, {FIRST: 30}
    kafka.fetched = [{FIRST: records(0, 1)}]
    assert await fetch(consumer) == {FIRST: []}
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.seeks[-1]) == (20, {FIRST: 20})
    await consumer.commit()
    assert kafka.commits == [{FIRST: 20}]


@pytest.mark.parametrize("what", ["a lost end", "a re-created topic"])
async def test_what_was_fetched_before_it_went_back_counts_for_nothing(
    consumer: Consumer, kafka: FakeConsumerThread, what: str
) -> None:
    """Faust hands over the chunks of a fetch one after the other, and waits in between."""
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, SECOND, *range(50)))
    kafka.fetched = [{FIRST: records(0, 1), SECOND: records(50, 51)}]
    fetched = await fetch(consumer)
    deliver(consumer, *fetched[FIRST])
    if what == "a lost end":
        consumer.lost_end(SECOND, 30)
        await found_out(consumer)
    else:
        kafka.ids = {"chunked": NEW}
        await consumer.look_for_recreated()
    position = consumer.ledger.position(SECOND)
    consumer.ack(deliver(consumer, *fetched[SECOND]))
    assert consumer.ledger.position(SECOND) == position
    committed = consumer._filter_committable_offsets([])
    assert committed == ({SECOND: 30} if what == "a lost end" else {})


async def test_what_was_lost_after_the_position_is_no_news(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Records that were fetched, and dropped on their way."""
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    consumer.lost_end(FIRST, 60)
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.seeks[-1]) == (50, {FIRST: 50})
    assert kafka.went_back == [(FIRST, 60, False)]
    assert not caplog.records


async def test_a_lost_end_means_nothing_once_positions_are_set_anew(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    consumer.lost_end(FIRST, 40)
    consumer.assignments += 1
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.went_back) == (50, [])


async def test_a_log_that_is_shorter_than_what_was_read_has_lost_its_end_if_the_topic_is_the_same(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture
) -> None:
    """aiokafka begins at its start: the position is out of range."""
    kafka.committed = {FIRST: 50, SECOND: 50}
    await begin(consumer)
    kafka.ends[FIRST] = kafka.ends[SECOND] = 35
    kafka.lost = {FIRST: 30}
    kafka.fetched = [{FIRST: records(0, 1), SECOND: records(0, 1)}]
    assert await fetch(consumer) == {FIRST: [], SECOND: []}
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (30, 0)
    assert "chunked/0 was read up to offset 50, but Kafka has lost its end since" in caplog.text
    assert "chunked/1 was read up to offset 50, but ends at 35: Kafka has lost its" in caplog.text
    assert "re-created" not in caplog.text
    assert sorted(kafka.went_back) == [(FIRST, 30, False), (SECOND, 0, False)]


@pytest.mark.parametrize("told", ["by its end", "by a batch of a new leader"])
async def test_a_new_topic_has_lost_nothing(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture, told: str
) -> None:
    """Its epochs start over: that of what was read may end anywhere in it."""
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    kafka.ids = {"chunked": NEW}
    if told == "by its end":
        kafka.ends[FIRST], kafka.lost = 35, {FIRST: 35}
        kafka.fetched = [{FIRST: records(0, 1)}]
        assert await fetch(consumer) == {FIRST: []}
    else:
        consumer.lost_end(FIRST, 35)
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.rejoins) == (None, 1)
    assert (kafka.committed[FIRST], kafka.noted[FIRST]) == (0, NEW)
    (said,) = (one.getMessage() for one in caplog.records)
    assert said.endswith(
        "chunked/0 was deleted and re-created: the group rejoins to read it from its start."
    )
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 0


async def test_what_comes_again_is_not_taken_for_a_new_topic(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    kafka.fetched = [{FIRST: records(48, 49)}]
    assert await fetch(consumer) == {FIRST: []}
    await found_out(consumer)
    assert consumer.ledger.position(FIRST) == 50


async def test_retention_past_the_committed_offset_is_reported_as_loss_at_the_start(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    kafka.committed = {FIRST: 5}
    kafka.earliest[FIRST] = 8
    await begin(consumer)
    assert around.lost == [(FIRST, 3)]
    assert consumer.ledger.position(FIRST) == 8


async def test_where_a_partition_starts_after_a_loss_is_committed_once(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    kafka.committed = {FIRST: 5}
    kafka.earliest[FIRST] = 8
    await begin(consumer)
    assert consumer._filter_committable_offsets([]) == {FIRST: 8}
    assert consumer._filter_committable_offsets([]) == {}


async def test_a_log_that_begins_late_is_no_loss_for_a_group_that_never_committed(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    kafka.never_committed = {FIRST}
    kafka.earliest[FIRST] = 8
    await begin(consumer)
    assert around.lost == []


async def test_only_finished_chunks_at_the_head_are_committed(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    messages = [
        await deliver_next(consumer, kafka, FIRST, *offsets) for offsets in ((0, 1), (2,), (3, 4))
    ]
    consumer.ack(messages[2])
    consumer.ack(messages[1])
    assert not await consumer.commit()
    assert kafka.commits == []
    consumer.ack(messages[0])
    assert await consumer.commit()
    assert kafka.commits == [{FIRST: 5}]
    assert not await consumer.commit()


@pytest.fixture
async def steps(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Steps]:
    """Those of a consumer's commit handler, which has begun."""
    made = Steps()
    monkeypatch.setattr(consumer, "sleep", made.sleep)
    await begin(consumer)
    handler = asyncio.ensure_future(Consumer._commit_handler.fun(consumer))
    yield made
    handler.cancel()


async def test_a_commit_is_made_when_something_is_finished_and_not_before(
    consumer: Consumer, kafka: FakeConsumerThread, steps: Steps
) -> None:
    first = await deliver_next(consumer, kafka, FIRST, 0)
    second = await deliver_next(consumer, kafka, FIRST, 1)
    assert steps.asked == []
    consumer.ack(first)
    await steps.step()
    assert kafka.commits == [{FIRST: 1}]
    consumer.ack(second)
    await steps.step()
    await steps.step()
    assert kafka.commits == [{FIRST: 1}, {FIRST: 2}]
    assert sum(steps.asked[:2]) == consumer.commit_interval


async def test_what_kafka_did_not_take_is_committed_without_anything_else_being_finished(
    consumer: Consumer, kafka: FakeConsumerThread, steps: Steps
) -> None:
    kafka.refused = {FIRST: TimeoutError}
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0))
    await steps.step()
    kafka.refused = {}
    await steps.step()
    await steps.step()
    assert kafka.commits[-1] == {FIRST: 1}


async def test_what_is_finished_during_another_commit_is_committed_after_it(
    consumer: Consumer, kafka: FakeConsumerThread, steps: Steps
) -> None:
    untyped: Any = consumer
    untyped._commit_fut = asyncio.get_running_loop().create_future()
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0))
    await until(lambda: steps.asked)
    untyped._commit_fut.set_result(None)
    await steps.step()
    untyped._commit_fut = None
    await steps.step()
    await steps.step()
    assert kafka.commits == [{FIRST: 1}]


async def test_what_is_finished_keeps_no_records_until_it_is_committed(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    first = await deliver_next(consumer, kafka, FIRST, 0, 1)
    second = await deliver_next(consumer, kafka, FIRST, 2, 3)
    consumer.ack(second)
    chunk: Any = second.value
    assert chunk.records == ()
    consumer.ack(first)
    await consumer.commit()
    assert kafka.commits[-1] == {FIRST: 4}


async def test_what_is_to_be_in_kafka_before_a_commit_is_flushed_before_it(
    consumer: Consumer, around: Around, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    async def flush() -> None:
        assert kafka.commits == []
        steps.append("flushed")

    around.committing = lambda: steps.append("sent")
    monkeypatch.setattr(consumer.app.producer, "flush", flush)
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0))
    assert await consumer.commit()
    assert steps == ["sent", "flushed"]
    assert kafka.commits == [{FIRST: 1}]


async def test_partitions_are_committed_independently(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    await deliver_next(consumer, kafka, FIRST, 0)
    consumer.ack(await deliver_next(consumer, kafka, SECOND, 0, 1))
    await consumer.commit()
    assert kafka.commits == [{SECOND: 2}]


async def test_what_kafka_does_not_take_is_committed_again(
    consumer: Consumer, kafka: FakeConsumerThread, caplog: pytest.LogCaptureFixture
) -> None:
    await begin(consumer)
    for tp in (FIRST, SECOND):
        consumer.ack(await deliver_next(consumer, kafka, tp, 0))
    kafka.refused = {FIRST: UnknownTopicOrPartitionError}
    assert not await consumer.commit()
    assert not await consumer.commit()
    assert kafka.commits == [{SECOND: 1}, {}]
    assert caplog.text.count("does not take the committed offset of chunked/0") == 1
    kafka.refused = {}
    assert await consumer.commit()
    assert kafka.commits[-1] == {FIRST: 1}


async def test_a_revoked_partition_is_never_committed(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0)
    await consumer.on_partitions_revoked({FIRST})
    consumer.ack(message)
    await consumer.commit()
    assert kafka.commits == []


async def rebalance(consumer: Consumer, app: faust.App, *, revoked: set[TP]) -> None:
    """A generation of the group ends, and the next begins."""
    await consumer.on_partitions_revoked(revoked)
    app.consumer_generation_id += 1


@pytest.mark.parametrize("offset", [3, 90], ids=["of what is delivered", "of the end"])
async def test_what_another_member_has_committed_is_not_passed_over(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    caplog: pytest.LogCaptureFixture,
    offset: int,
) -> None:
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0, 1))
    await deliver_next(consumer, kafka, FIRST, 2)
    await consumer.commit()
    kafka.committed = {FIRST: offset}
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    # A further one, before there are positions.
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 2
    assert f"Another client of the group has committed offset {offset} of chunked/0" in caplog.text
    await consumer.commit()
    assert kafka.commits[-1] == {FIRST: 2}


@pytest.mark.parametrize("kept", [True, False], ids=["while it is read", "at the assignment"])
async def test_whoever_has_gone_back_and_could_not_commit_it_accuses_nobody(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    caplog: pytest.LogCaptureFixture,
    kept: bool,  # noqa: FBT001 - of the list above
) -> None:
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, *range(70)))
    await consumer.commit()
    kafka.refused = {FIRST: UnknownTopicOrPartitionError}
    if kept:
        consumer.lost_end(FIRST, 30)
        await found_out(consumer)
    kafka.cut = {FIRST: 30}
    for _ in range(3):
        await rebalance(consumer, app, revoked={FIRST, SECOND})
        await begin(consumer)
        assert consumer.ledger.position(FIRST) == 30
    assert "Another client" not in caplog.text
    assert caplog.text.count("chunked/0 was read up to offset 70, but Kafka has lost its end") == 1
    kafka.committed = {FIRST: 90}
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 30
    assert "Another client of the group has committed offset 90 of chunked/0" in caplog.text


@pytest.mark.parametrize("told", [True, False], ids=["with another id", "with brokers before 2.8"])
async def test_what_was_finished_of_a_topic_passes_over_nothing_of_the_next_one(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    monkeypatch: pytest.MonkeyPatch,
    told: bool,  # noqa: FBT001 - of the list above
) -> None:
    """Of an offset beyond the end, another client may be the cause, or that the topic is new."""
    monkeypatch.setattr(consumer, "sleep", Time().sleep)
    kafka.tells_ids = told
    await begin(consumer)
    consumer.ack(await deliver_next(consumer, kafka, FIRST, 0, 1))
    kafka.committed = {FIRST: 50}
    kafka.ids = {"chunked": NEW}
    kafka.ends[FIRST] = 9
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 0


async def test_positions_that_are_not_taken_do_not_make_what_was_finished_one_of_the_new_topic(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.committed = {FIRST: 50, SECOND: 50}
    kafka.noted = dict.fromkeys(kafka.committed)  # by an older version
    await begin(consumer)
    kafka.ids = {"chunked": NEW}
    ends = kafka.extents

    async def revoke(partitions: Iterable[TP]) -> dict[TP, tuple[int, int]]:
        await rebalance(consumer, app, revoked={FIRST, SECOND})
        return await ends(partitions)

    with monkeypatch.context() as revoking:
        revoking.setattr(kafka, "extents", revoke)
        await begin(consumer)
    kafka.committed, kafka.noted = {FIRST: 50, SECOND: 50}, {FIRST: None, SECOND: None}
    await begin(consumer)
    assert (consumer.ledger.position(FIRST), consumer.ledger.position(SECOND)) == (0, 0)


@pytest.mark.parametrize("revoked, missed", [({FIRST, SECOND}, 1), ({SECOND}, 0)])
async def test_what_another_worker_has_committed_is_believed(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App, revoked: set[TP], missed: int
) -> None:
    await begin(consumer)
    await deliver_next(consumer, kafka, FIRST, 0, 1)
    await rebalance(consumer, app, revoked={FIRST, SECOND})
    kafka.committed = {FIRST: 90}
    kafka.assigned = revoked
    await begin(consumer)
    await rebalance(consumer, app, revoked=revoked)
    app.consumer_generation_id += missed
    kafka.assigned = {FIRST, SECOND}
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 90


async def test_while_partitions_are_revoked_positions_stay(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0)
    consumer.ack(message)
    consumer._revoking = True
    await begin(consumer)
    assert consumer.ledger.position(FIRST) == 1
    assert consumer._filter_committable_offsets([]) == {FIRST: 1}


def waiting_in_front_of(app: faust.App, tp: TP) -> ChunkTopic:
    """A channel of its own for a partition, with something in its queue."""
    topics: Any = app.topics
    busy = ChunkTopic(app, topics=(tp.topic,))
    topics._tp_index[tp] = {busy}
    busy.queue.put_nowait(object())
    return busy


async def test_a_partition_is_not_fetched_while_its_stream_has_something_waiting(
    consumer: Consumer, kafka: FakeConsumerThread, channel: ChunkTopic, app: faust.App
) -> None:
    await begin(consumer)
    busy = waiting_in_front_of(app, FIRST)
    await fetch(consumer)
    assert kafka.asked == [{SECOND}]
    busy.queue.get_nowait()
    await fetch(consumer)
    assert kafka.asked[1:] == [{FIRST, SECOND}]
    assert channel.queue.empty()


async def test_nothing_is_fetched_while_everything_is_held(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    await begin(consumer)
    around.held = {FIRST, SECOND}
    assert await consumer._getmany({FIRST, SECOND}, 0.001) == {}
    assert kafka.asked == []
    around.held = {FIRST}
    await fetch(consumer)
    await found_out(consumer)
    await fetch(consumer)
    assert kafka.asked == [{SECOND}]


@pytest.mark.parametrize("told", [True, False], ids=["by its id", "with brokers before 2.8"])
async def test_a_topic_that_was_re_created_while_it_was_held_is_not_read_on_at_the_old_offset(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    around: Around,
    monkeypatch: pytest.MonkeyPatch,
    told: bool,  # noqa: FBT001 - of the list above
) -> None:
    """Kafka forgets with a topic what the group has committed of it, but takes a late commit."""
    kafka.tells_ids = told
    kafka.noted = {} if told else {FIRST: None, SECOND: None}
    await begin(consumer)
    for tp in (FIRST, SECOND):
        consumer.ack(await deliver_next(consumer, kafka, tp, 0, 1))
    await consumer.commit()
    around.held = {FIRST, SECOND}
    await consumer._getmany({FIRST, SECOND}, 0.001)
    kafka.asked.clear()
    if told:
        ids = kafka.topic_ids

        async def of_two_topics(asked: Iterable[TP], known: Mapping[TP, bytes]) -> dict[TP, bytes]:
            return await ids(asked, known) | ({FIRST: NEW} if FIRST in asked else {})

        monkeypatch.setattr(kafka, "topic_ids", of_two_topics)
    else:
        kafka.never_committed = {FIRST}
    around.held = set()
    await consumer._getmany({FIRST, SECOND}, 0.001)
    await found_out(consumer)
    await fetch(consumer)
    assert (kafka.asked, kafka.rejoins) == ([{SECOND}], 1)
    assert kafka.commits[-1] == {FIRST: 0}, "for whoever knows no ids"
    await begin(consumer)
    await fetch(consumer)
    assert kafka.asked[1:] == [{FIRST, SECOND}]
    assert consumer.ledger.position(FIRST) == 0
    assert kafka.rejoins == 1


async def test_what_was_held_is_read_on_if_it_is_the_same_topic_whatever_is_committed(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    """Somebody has deleted the group's offsets: the next commit brings them again."""
    kafka.committed = {FIRST: 50}
    await begin(consumer)
    around.held = {FIRST}
    await fetch(consumer)
    around.held, kafka.never_committed = set(), {FIRST}
    await fetch(consumer)
    await found_out(consumer)
    assert (consumer.ledger.position(FIRST), kafka.rejoins) == (50, 0)


async def test_what_was_held_waits_until_kafka_says_what_is_committed_of_it(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    around: Around,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka.tells_ids, kafka.noted = False, {FIRST: None}
    await begin(consumer)
    around.held = {FIRST}
    await fetch(consumer)
    around.held = set()

    async def silent(_partitions: object) -> set[TP]:
        raise TimeoutError

    with monkeypatch.context() as away:
        away.setattr(kafka, "without_commit", silent)
        await fetch(consumer)
        await found_out(consumer)
    await fetch(consumer)
    await found_out(consumer)
    await fetch(consumer)
    assert kafka.asked == [{SECOND}] * 3 + [{FIRST, SECOND}]
    assert kafka.rejoins == 0


async def test_a_chunk_is_not_delivered_after_a_rebalance_that_passed_while_another_was_sought(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    await deliver_next(consumer, kafka, FIRST, 0, 1)
    kafka.on_seek = lambda: consumer.ledger.reset({FIRST: 0, SECOND: 0})
    kafka.fetched = [{FIRST: records(2, 3), SECOND: records(5)}]

    assert not (await fetch(consumer)).get(FIRST)

    kafka.fetched = [{FIRST: records(0, 1)}]
    ((again,),) = (await fetch(consumer)).values()
    assert again.first_offset == 0


async def test_what_was_fetched_before_partitions_were_revoked_is_not_delivered(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """Recovery would take an entry from before for the last one of those that it reads anew."""
    await begin(consumer)
    kafka.pending = fetched = asyncio.get_running_loop().create_future()
    fetching = asyncio.create_task(fetch(consumer))
    await until(lambda: kafka.asked)
    await consumer.on_partitions_revoked({FIRST})
    fetched.set_result({OTHER: records(7)})
    assert await fetching == {}

    kafka.pending, kafka.fetched = None, [{OTHER: records(0, 1)}]
    assert [record.offset for record in (await fetch(consumer))[OTHER]] == [0, 1]


async def test_what_was_held_is_fetched_as_soon_as_its_chunk_is_taken(
    consumer: Consumer, kafka: FakeConsumerThread, app: faust.App
) -> None:
    await begin(consumer)
    busy = waiting_in_front_of(app, FIRST)
    kafka.pending = fetched = asyncio.get_running_loop().create_future()
    fetching = asyncio.create_task(fetch(consumer))
    await until(lambda: kafka.asked)
    busy.queue.get_nowait()
    consumer.taken(Chunk(FIRST, records(0)))
    assert kafka.looked_again == [{FIRST}]
    fetched.set_result({FIRST: records(0, 1)})
    assert list(await fetching) == [FIRST]


@pytest.mark.usefixtures("kafka")
async def test_a_fetch_begins_as_soon_as_the_first_chunk_is_taken(
    consumer: Consumer, around: Around, app: faust.App
) -> None:
    await begin(consumer)
    around.held = {SECOND}
    busy = waiting_in_front_of(app, FIRST)
    fetching = asyncio.create_task(consumer._getmany({FIRST, SECOND}, 3600.0))
    await until(lambda: consumer._held)
    busy.queue.get_nowait()
    consumer.taken(Chunk(FIRST, records(0)))
    assert await asyncio.wait_for(fetching, 20) == {}


async def test_a_fetch_is_of_all_until_partitions_are_given_taken_or_held(
    consumer: Consumer, around: Around
) -> None:
    await begin(consumer)
    untyped: Any = consumer
    untyped._active_partitions = {FIRST}
    assert consumer.fetches_all({FIRST})
    consumer.resume_partitions({SECOND})
    assert not consumer.fetches_all({FIRST})
    assert consumer.fetches_all({FIRST, SECOND})
    around.held = {SECOND}
    assert not consumer.fetches_all({FIRST, SECOND})
    around.held = set()
    consumer.stop_flow()
    assert not consumer.fetches_all({FIRST, SECOND})


async def test_the_last_read_offset_does_not_decide_about_chunks(consumer: Consumer) -> None:
    consumer._read_offset[FIRST] = 9
    consumer._read_offset[OTHER] = 9
    assert consumer._read_offset[FIRST] is None
    assert consumer._read_offset[OTHER] == 9


async def test_waiting_for_work_in_flight_ends_with_the_last_of_it_and_commits(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    await begin(consumer)
    first = await deliver_next(consumer, kafka, FIRST, 0)
    second = await deliver_next(consumer, kafka, FIRST, 1)
    waiting = asyncio.create_task(consumer.wait_empty())
    await until(lambda: consumer._waiting_for_ack)
    consumer.ack(second)
    await until(lambda: consumer._waiting_for_ack and not consumer._waiting_for_ack.done())
    assert not waiting.done()
    consumer.ack(first)
    await asyncio.wait_for(waiting, 20)
    assert kafka.commits == [{FIRST: 2}]


async def test_a_stop_has_one_deadline_however_often_it_waits(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    waits = []

    async def wait_for_ack(timeout: float) -> None:  # noqa: ASYNC109 - Faust's signature
        waits.append(timeout)
        clock.now += timeout

    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(consumer, "_wait_for_ack", wait_for_ack)
    await begin(consumer)
    unfinished = await deliver_next(consumer, kafka, FIRST, 0)
    app._stopped.set()
    await consumer.wait_empty()
    await consumer.wait_empty()
    assert waits == [DEADLINE]
    assert caplog.text.count("1 chunk not finished in time") == 1
    assert kafka.commits == []
    assert not unfinished.acked


async def test_each_rebalance_waits_until_a_deadline_of_its_own(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    waits = []

    async def wait_for_ack(timeout: float) -> None:  # noqa: ASYNC109 - Faust's signature
        waits.append(timeout)
        clock.now += timeout

    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(consumer, "_wait_for_ack", wait_for_ack)
    await begin(consumer)
    unfinished = await deliver_next(consumer, kafka, FIRST, 0)
    await consumer.wait_empty()
    await consumer.wait_empty()
    assert waits == [module.REVOKE_DEADLINE] * 2
    assert not unfinished.acked


async def test_a_chunk_that_faust_drops_on_its_way_is_fetched_again(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    channel: ChunkTopic,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    await begin(consumer)
    lost: Any = (await deliver_next(consumer, kafka, FIRST, 0, 1)).value
    later: Any = (await deliver_next(consumer, kafka, FIRST, 2)).value
    later.taken = True
    kafka.seeks.clear()
    await fetch(consumer)
    assert not kafka.seeks, "it may still be on its way"
    now += module.ON_THE_WAY_SECONDS + 1
    channel.queue.put_nowait(lost)
    await fetch(consumer)
    assert not kafka.seeks, "it waits in front of its agent"
    channel.queue.get_nowait()
    await fetch(consumer)
    assert kafka.seeks == [{FIRST: 0}]
    again: Any = (await deliver_next(consumer, kafka, FIRST, 0, 1, 2)).value
    again.taken = True
    assert again.first_offset == 0
    await fetch(consumer)
    assert kafka.seeks == [{FIRST: 0}]


async def test_what_is_revoked_while_a_dropped_chunk_is_sought_ends_no_worker(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust removes it from the very set of which records are fetched."""
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    await begin(consumer)
    await deliver_next(consumer, kafka, FIRST, 0, 1)
    now += module.ON_THE_WAY_SECONDS + 1
    kafka.seeks.clear()
    active = {FIRST, SECOND}
    kafka.on_seek = lambda: active.discard(SECOND)
    await consumer._getmany(active, 1.0)
    assert kafka.seeks == [{FIRST: 0}]


async def test_a_table_that_is_read_again_long_after_the_start_is_no_error(
    consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    """Faust takes the time since the start for the time without a fetch (seen after 19 minutes)."""
    thread: Any = ConsumerThread(consumer)
    assigned = SimpleNamespace(active=True, state_value=lambda _: SimpleNamespace(timestamp=None))
    subscriptions = SimpleNamespace(subscription=SimpleNamespace(assignment=assigned))
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=subscriptions))
    thread.time_started = 0.0
    untyped: Any = consumer
    untyped._thread = thread
    consumer.verify_recovery_event_path(19 * 60.0, OTHER)
    await Consumer._commit_livelock_detector.fun(consumer)
    assert caplog.text == ""
    driver.Consumer.verify_recovery_event_path(consumer, 19 * 60.0, OTHER)
    assert "has not sent fetch request" in caplog.text, "Faust's own would say it"


class Stream:
    """The stream of an agent, with the messages that have reached it."""

    def __init__(self, consumer: Consumer, *messages: Message) -> None:
        self.app = SimpleNamespace(consumer=consumer)
        self._consumer = consumer
        self._messages = messages

    def noack(self) -> "Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for message in self._messages:
            yield SimpleNamespace(
                value=message.value,
                ack=lambda message=message: self._consumer.ack(message),
            )


async def test_a_large_chunk_comes_in_parts_and_each_is_committed(
    consumer: Consumer, kafka: FakeConsumerThread, around: Around
) -> None:
    await begin(consumer)
    large: Any = await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4)
    small = await deliver_next(consumer, kafka, SECOND, 0, 1)
    stream: Any = Stream(consumer, large, small)
    events = [event async for event in chunk_events(stream, 2)]
    offsets = [[one.offset for one in event.value.records] for event in events]
    assert offsets == [[0, 1], [2, 3], [4], [0, 1]]
    assert {event.value.delivered_at for event in events[:3]} == {large.value.delivered_at}
    events[0].ack()
    assert consumer._filter_committable_offsets([]) == {FIRST: 2}
    assert not large.acked
    events[2].ack()
    assert consumer._filter_committable_offsets([]) == {}
    events[1].ack()
    assert consumer._filter_committable_offsets([]) == {FIRST: 5}
    assert large.acked
    assert large not in consumer._unacked_messages
    assert around.finished == [events[0].value, events[2].value, events[1].value]


async def test_parts_that_are_delivered_again_do_not_reach_the_agent(
    consumer: Consumer, kafka: FakeConsumerThread
) -> None:
    """At a low rate they may be an hour's work, and so would those of the next delivery."""
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4)
    stream: Any = Stream(consumer, message)
    taken = []
    async for event in chunk_events(stream, 2):
        taken.append(event)
        await begin(consumer)
    assert len(taken) == 1
    assert not message.acked, "one part is under way"
    taken[0].ack()
    assert message not in consumer._unacked_messages
    assert consumer._filter_committable_offsets([]) == {}


@pytest.mark.parametrize("begun", [True, False], ids=["a part is done", "still in the queue"])
async def test_parts_of_a_chunk_that_straddles_a_lost_end_come_again(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    begun: bool,  # noqa: FBT001 - of the list above
) -> None:
    """Nobody hands them out any more, though the log still has some of them."""
    await begin(consumer)
    stream: Any = Stream(consumer, await deliver_next(consumer, kafka, FIRST, *range(7)))
    events = chunk_events(stream, 2)
    if begun:
        (await anext(events)).ack()
    consumer.lost_end(FIRST, 5)
    await found_out(consumer)
    async for event in events:
        event.ack()
    assert consumer.ledger.position(FIRST) == (2 if begun else 0)


class Agent:
    """Takes one event after the other of a chunk of five records in parts of two."""

    def __init__(self, consumer: Consumer, message: Message) -> None:
        stream: Any = Stream(consumer, message)
        self._events = chunk_events(stream, 2)

    async def next(self) -> ChunkEvent:
        return await anext(self._events)


async def test_a_stop_waits_for_the_parts_that_were_handed_out_and_hands_out_no_more(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4)
    agent = Agent(consumer, message)
    first = await agent.next()
    app._stopped.set()
    waiting = asyncio.create_task(consumer.wait_empty())
    await until(lambda: consumer._waiting_for_ack)
    further = asyncio.create_task(agent.next())
    first.ack()
    await asyncio.wait_for(waiting, 20)
    assert kafka.commits == [{FIRST: 2}]
    assert not further.done()
    assert not message.acked, "the rest of it is delivered again"
    assert "not finished in time" not in caplog.text
    further.cancel()


async def test_parts_that_are_not_finished_in_time_are_counted(
    consumer: Consumer,
    kafka: FakeConsumerThread,
    app: faust.App,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()

    async def wait_for_ack(timeout: float) -> None:  # noqa: ASYNC109 - Faust's signature
        clock.now += timeout

    monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(consumer, "_wait_for_ack", wait_for_ack)
    await begin(consumer)
    small = await deliver_next(consumer, kafka, SECOND, 0)
    large = await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4)
    agent = Agent(consumer, large)
    await agent.next()
    (await agent.next()).ack()
    app._stopped.set()
    await consumer.wait_empty()
    assert "2 chunks not finished in time" in caplog.text
    assert not small.acked
    assert kafka.commits == []


async def test_a_rebalance_hands_out_no_more_parts_and_drops_the_rest(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(consumer)
    message = await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4)
    agent = Agent(consumer, message)
    first = await agent.next()
    seen = []

    async def revoked(*_: object) -> None:
        further = asyncio.create_task(agent.next())
        waiting = asyncio.create_task(consumer.wait_empty())
        await until(lambda: consumer._waiting_for_ack)
        first.ack()
        await asyncio.wait_for(waiting, 20)
        seen.append(further)

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", revoked)
    await consumer.on_partitions_revoked({FIRST, SECOND})
    assert kafka.commits == [{FIRST: 2}]
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(seen[0], 20)
    assert message not in consumer._unacked_messages


async def test_parts_of_a_partition_that_stays_are_handed_out_after_a_rebalance(
    consumer: Consumer, kafka: FakeConsumerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(consumer)
    agent = Agent(consumer, await deliver_next(consumer, kafka, FIRST, 0, 1, 2, 3, 4))
    await agent.next()
    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    await consumer.on_partitions_revoked({SECOND})
    further = await asyncio.wait_for(agent.next(), 20)
    assert further.value.first_offset == 2
