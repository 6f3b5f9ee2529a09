"""What the consumer's thread asks of aiokafka: commits that end, fetches from where we stand."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import (
    CommitFailedError,
    InvalidCommitOffsetSizeError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    OffsetMetadataTooLargeError,
    UnknownError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.kafka import topic_ids
from app.kafka.delivery import epochs
from app.kafka.delivery import thread as module
from app.kafka.delivery.epochs import End
from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.notes import Note
from app.kafka.delivery.thread import ConsumerThread
from app.kafka.patches.fetched_batches import Batches, Fetch, Fetched
from app.kafka.patches.new_leaders import NewLeaders, Read
from tests.fakes.time import until

TOPIC = TopicPartition("chunked", 0)
OURS = TP(*TOPIC)


class Client:
    """aiokafka's consumer, with its real state of a subscription."""

    def __init__(self) -> None:
        self._subscription = SubscriptionState()
        self._subscription.subscribe({"chunked"})
        self._subscription.assign_from_subscribed({TOPIC})
        self.answer: Any = None
        self.begins = 0
        self._fetcher = SimpleNamespace(
            beginning_offsets=self.beginning_offsets, end_offsets=self.end_offsets
        )

    async def beginning_offsets(self, asked: list[TopicPartition], _ms: float) -> dict[Any, int]:
        return dict.fromkeys(asked, self.begins)

    async def end_offsets(self, asked: list[TopicPartition], _ms: float) -> dict[Any, int]:
        return dict.fromkeys(asked, 900)

    def stands_at(self, offset: int) -> None:
        self.seek(TOPIC, offset)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._subscription.seek(tp, offset)

    @property
    def position(self) -> int:
        return int(self._subscription._assigned_state(TOPIC).position)

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        await self.answer(offsets)


@pytest.fixture
async def client() -> Client:
    return Client()


@pytest.fixture
async def thread(client: Client) -> Any:
    made: Any = object.__new__(ConsumerThread)
    made._refused = {}
    made._sought = {}
    made._sent_back = frozenset()
    made._leaders = NewLeaders(made._ask_new_leader)
    made._shelf = None
    made._replaced = set()
    made._noted = {}
    made._consumer = client
    made.consumer = SimpleNamespace(ledger=Ledger(), assignments=1)
    made.assignment = lambda: {OURS}

    async def at_once(_: float) -> None:
        pass

    made.sleep = at_once
    return made


async def test_the_main_thread_does_not_close_what_belongs_to_this_one(
    thread: Any, client: Client
) -> None:
    thread.close()
    assert not hasattr(client, "_closed")


async def test_a_fetcher_that_reads_too_far_is_sent_back(thread: Any, client: Client) -> None:
    thread.consumer.ledger.reset({OURS: 5})
    client.stands_at(900)
    thread._send_back(client, {OURS})
    assert client.position == 5
    assert thread.sent_back() == {OURS}
    assert not thread.sent_back()


async def test_a_seek_that_is_refused_ends_nothing(thread: Any, client: Client) -> None:
    def refuse(_tp: TopicPartition, offset: int) -> None:
        raise ValueError(f"Offset {offset} must be a positive integer")

    said: list[str] = []
    thread._say = said.append
    thread.consumer.ledger.reset({OURS: -999_999})
    client.stands_at(2)
    client.seek = refuse  # type: ignore[method-assign, assignment]
    thread._send_back(client, {OURS})
    assert not thread.sent_back()
    assert said == [
        "Cannot read chunked/0 from -999999 on: Offset -999999 must be a positive integer"
    ]


async def test_a_hole_at_the_logs_end_is_looked_at_seldom(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    thread.consumer.ledger.reset({OURS: 5})
    client.stands_at(6)
    thread._send_back(client, {OURS})
    client.stands_at(6)
    thread._send_back(client, {OURS})
    assert client.position == 6
    now += module.SOUGHT_AGAIN
    thread._send_back(client, {OURS})
    assert client.position == 5


async def test_an_end_of_what_is_no_longer_assigned_ends_nothing(thread: Any) -> None:
    consumer: Any = object.__new__(AIOKafkaConsumer)
    consumer._closed = True  # for its end
    consumer._subscription = Client()._subscription
    consumer._subscription._assigned_state(TOPIC).highwater = 7
    thread._consumer = consumer
    thread.consumer.in_transaction = False
    del thread.assignment
    assert thread.highwater(OURS) == 7
    consumer._subscription.subscribe({"chunked", "new"})
    with pytest.raises(AssertionError):
        consumer.highwater(TOPIC)
    assert thread.highwater(OURS) == 0


class Fetching:
    """A fetcher that brings nothing until it does."""

    def __init__(self, thread: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.bring: dict[int, dict[TP, list[int]]] = {}
        self.all_of_them = True
        thread._shelf = None
        thread._stopped = SimpleNamespace(is_set=lambda: False)
        thread._crashed = SimpleNamespace(is_set=lambda: False)
        thread.fetches = SimpleNamespace(try_again=lambda: None)
        thread.consumer.fetches_all = lambda _: self.all_of_them
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", self.fetch)

    async def fetch(
        self, _consumer: Any, _partitions: Any, wait: float, _most: Any
    ) -> dict[TP, list[int]]:
        self.waits.append(wait)
        self.now += wait
        return self.bring.get(len(self.waits), {})


async def test_while_nothing_comes_a_fetch_goes_on_in_its_thread(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = Fetching(thread, monkeypatch)
    assert await thread._fetch_records(client, {OURS}, 5.0) == {}
    assert fetching.waits == [1.0] * 5
    fetching.bring = {7: {OURS: [1]}}
    assert await thread._fetch_records(client, {OURS}, 5.0) == {OURS: [1]}
    assert len(fetching.waits) == 7
    assert await thread._fetch_records(client, {OURS}, 0.1) == {}
    assert fetching.waits[7:] == [pytest.approx(0.1)]


async def test_a_fetch_ends_soon_when_there_are_others_to_fetch_by_now(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = Fetching(thread, monkeypatch)
    fetching.all_of_them = False
    assert await thread._fetch_records(client, {OURS}, 5.0) == {}
    assert fetching.waits == [1.0]


async def test_a_fetch_that_waits_during_a_rebalance_takes_nothing_of_the_next_assignment(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust dropped it, and recovery waited for it until the worker ended: a standby's changelog.

    It happened after each tenth rolling restart on a busy machine: between recovery's seek and the
    moment at which it lets records pass.
    """
    monkeypatch.setattr(fetcher_module, "FetchResult", Fetch)
    changelog = TopicPartition("changelog", 0)
    subscriptions = client._subscription
    subscriptions.subscribe({"changelog"})
    subscriptions.assign_from_subscribed({changelog})
    fetcher: Any = object.__new__(Fetcher)
    fetcher._subscriptions = subscriptions
    fetcher._loop = asyncio.get_running_loop()
    fetcher._fetch_waiters = set()
    fetcher._wait_consume_future = None
    shelf = thread._shelf = fetcher._records = Fetched(lambda _: False)
    thread.fetches = SimpleNamespace(try_again=lambda: None)
    thread._stopped = thread._crashed = SimpleNamespace(is_set=lambda: False)
    thread.consumer.fetches_all = lambda _: True
    thread.consumer.flow_active = True
    untyped: Any = client
    untyped._closed, untyped._fetcher, fetcher._closed = False, fetcher, False

    def arrive() -> Any:
        assignment = subscriptions.subscription.assignment
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        for offset in range(3):
            builder.append(offset, 1000, b'"0/1"', b"", [])
        batch = Batches(bytes(builder.build()))
        records = PartitionRecords(changelog, batch, None, 0, None, None, True, 0)
        shelf[changelog] = Fetch(
            changelog, assignment=assignment, partition_records=records, backoff=0
        )
        for waiter in tuple(fetcher._fetch_waiters):
            fetcher._notify(waiter)
        return assignment.state_value(changelog)

    wanted = {TP(*changelog)}
    subscriptions.seek(changelog, 0)
    waiting = asyncio.ensure_future(thread._fetch_records(client, wanted, 60.0))
    await until(lambda: fetcher._fetch_waiters)
    assert thread.began_in == 1
    subscriptions.assign_from_subscribed({changelog})
    subscriptions.seek(changelog, 0)
    state = arrive()
    assert await asyncio.wait_for(waiting, 10) == {}
    assert state.position == 0, "still to be read"

    waiting = asyncio.ensure_future(thread._fetch_records(client, wanted, 60.0))
    shelf.clear()
    await until(lambda: fetcher._fetch_waiters)
    subscriptions.assign_from_subscribed({changelog})
    subscriptions.seek(changelog, 0)
    thread._look_again(())
    assert await asyncio.wait_for(waiting, 10) == {}, "at once, without any record"
    state = arrive()

    thread.consumer.assignments = 2
    fetched = await thread._fetch_records(client, wanted, 60.0)
    assert [record.offset for record in fetched[changelog]] == [0, 1, 2]
    assert (state.position, thread.began_in) == (3, 2)


@pytest.mark.parametrize("stands_at", [4, 5])
async def test_a_fetcher_that_does_not_read_too_far_is_left_alone(
    thread: Any, client: Client, stands_at: int
) -> None:
    thread.consumer.ledger.reset({OURS: 5})
    client.stands_at(stands_at)
    thread._send_back(client, {OURS})
    assert client.position == stands_at


async def test_a_partition_without_a_position_is_left_alone(thread: Any, client: Client) -> None:
    client.stands_at(900)
    thread._send_back(client, {OURS})
    assert client.position == 900


async def test_a_commit_that_is_not_answered_ends(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMIT_DEADLINE", 0.01)

    async def never(_offsets: object) -> None:
        await asyncio.Event().wait()

    client.answer = never
    assert await thread._commit_what_can({OURS: 7}, {}) == {OURS: TimeoutError}


async def test_after_a_rebalance_nothing_counts_as_committed(thread: Any, client: Client) -> None:
    async def moved_on(_offsets: object) -> None:
        raise CommitFailedError("the group has already rebalanced")

    client.answer = moved_on
    assert await thread._commit_what_can({OURS: 7}, {}) == {OURS: CommitFailedError}


@pytest.mark.parametrize(
    "error",
    # The first is UNKNOWN_SERVER_ERROR, and what newer brokers say.
    [UnknownError, InvalidCommitOffsetSizeError, OffsetMetadataTooLargeError, KafkaError],
)
async def test_a_brokers_own_trouble_ends_no_worker(
    thread: Any, client: Client, error: type[KafkaError]
) -> None:
    async def in_trouble(_offsets: object) -> None:
        raise error

    client.answer = in_trouble
    assert await thread._commit_what_can({OURS: 7}, {}) == {OURS: error}


async def test_partitions_of_somebody_else_are_not_committed(thread: Any, client: Client) -> None:
    asked = []

    async def taken(offsets: dict[TopicPartition, Any]) -> None:
        asked.append(offsets)

    client.answer = taken
    assert await thread._commit_what_can({OURS: 7, TP("chunked", 1): 9}, {}) == {}
    assert [list(offsets) for offsets in asked] == [[TOPIC]]


async def test_a_commit_says_what_is_known_of_its_log(thread: Any, client: Client) -> None:
    asked = []

    async def taken(offsets: dict[TopicPartition, Any]) -> None:
        asked.append(offsets[TOPIC].metadata)

    client.answer = taken
    await thread._commit_what_can({OURS: 7}, {})
    await thread._commit_what_can({OURS: 8}, {OURS: Note(3, bytes(16))})
    assert asked == ["", "epoch=3 topic=AAAAAAAAAAAAAAAAAAAAAA"]


class Unchanged:
    """A client whose metadata stay as they are."""

    async def force_metadata_update(self) -> None:
        pass


class Coordinator:
    """The group's, with one commit."""

    def __init__(self, offset: int, metadata: str) -> None:
        self._entry = OffsetAndMetadata(offset, metadata)

    async def fetch_committed_offsets(self, _: Any) -> dict[TopicPartition, OffsetAndMetadata]:
        return {TOPIC: self._entry}


async def resumed(thread: Any, client: Any, offset: int, metadata: str) -> dict[TP, int]:
    """What was overwritten, when positions are set with one commit."""
    client._coordinator = Coordinator(offset, metadata)
    await thread._seek_to_committed()
    client._coordinator = None  # it is not asked twice: it might not answer
    found: dict[TP, int] = await thread._overwritten([OURS])
    return found


@pytest.mark.parametrize(
    "end, found, read",
    [
        (End(3, 7), {OURS: 7}, Read(7, 3)),  # it has lost the last record, or more of them
        (End(3, 8), {}, Read(8, 3)),
        (End(3, 900), {}, Read(8, 3)),
        (End(2, 5), {OURS: 5}, Read(5, 2)),
        (End(2, 900), {OURS: 0}, None),
        (End(-1, -1), {OURS: 0}, None),
    ],
)
async def test_a_log_that_was_cut_before_what_is_committed_is_noticed(
    thread: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    end: End,
    found: dict[TP, int],
    read: Read | None,
) -> None:
    async def ends(_client: object, asked: dict[TP, int]) -> dict[TP, End]:
        return {tp: end for tp, epoch in asked.items() if epoch == 3}

    monkeypatch.setattr(epochs, "ends", ends)
    client._client = Unchanged()
    assert await resumed(thread, client, 8, "epoch=3") == found
    # What is committed before something is read has the epoch of the log before that.
    assert thread._leaders.read(OURS) == read


async def test_the_epoch_of_a_topic_before_means_nothing_in_a_new_one(
    thread: Any, client: Any
) -> None:
    client._coordinator = Coordinator(8, "epoch=3")
    await thread._seek_to_committed()
    client._client = None
    assert await thread._overwritten([]) == {}
    assert thread._leaders.read(OURS) is None


class Leader:
    """A leader that is asked where epoch 3 ends, up to which 8 records were read."""

    def __init__(self, thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[dict[TP, End | None]] = []
        self.knows: dict[int, End] | None = None
        """The epochs that it knows, instead of `answers`."""
        self.asked: list[dict[TP, int]] = []
        self.refreshed = self.looked = 0
        self.lost: list[tuple[TP, int]] = []
        self.pauses: list[float] = []
        self.said: list[str] = []
        self.now = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        thread._say = self.said.append
        monkeypatch.setattr(epochs, "ends", self.ends)
        client._client = SimpleNamespace(force_metadata_update=self.refresh)
        loop = asyncio.get_running_loop()
        thread.app = SimpleNamespace(loop=loop)
        thread._stopped = thread._crashed = SimpleNamespace(is_set=lambda: False)
        thread.consumer.lost_end = lambda tp, cut: self.lost.append((tp, cut))
        thread._look_again = self.look_again
        thread.sleep = self.sleep
        self.tasks: list[asyncio.Task[None]] = []
        thread.add_future = lambda asking: self.tasks.append(loop.create_task(asking))
        thread._leaders.taken(OURS, 3, 8)

    async def ends(self, _client: object, asked: dict[TP, int]) -> dict[TP, End | None]:
        self.asked.append(dict(asked))
        if self.knows is not None:
            return {tp: self.knows.get(epoch, End(-1, -1)) for tp, epoch in asked.items()}
        return self.answers.pop(0)

    async def refresh(self) -> None:
        self.refreshed += 1

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def look_again(self, _added: object) -> None:
        self.looked += 1

    async def told(self) -> None:
        await asyncio.gather(*self.tasks)
        await asyncio.sleep(0)


async def test_a_new_leader_that_has_all_that_was_read_costs_two_questions(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: End(3, 8)}, {OURS: End(5, 900)}]
    assert not thread._leaders.holds_back(OURS, 3, 8)
    assert thread._leaders.holds_back(OURS, 5, 8)
    assert thread._leaders.holds_back(OURS, 5, 8), "nobody asks twice"
    await leader.told()
    assert not thread._leaders.holds_back(OURS, 5, 8)
    assert (leader.looked, leader.lost, leader.pauses) == (1, [], [])
    assert leader.asked == [{OURS: 3}, {OURS: 5}]
    thread._leaders.taken(OURS, 5, 9)
    assert thread._leaders.read(OURS) == Read(9, 5)


@pytest.mark.parametrize(
    "held, end, cut, read",
    [
        (5, End(3, 5), 5, Read(5, 3)),
        (5, End(1, 6), 6, Read(6, 1)),
        (5, End(1, 900), 4, None),
        # A broker that was restored from a copy more than one restart old.
        (2, End(-1, -1), 4, None),
    ],
)
async def test_what_a_new_leader_writes_in_the_place_of_what_was_read_is_not_handed_over(
    thread: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    held: int,
    end: End,
    cut: int,
    read: Read | None,
) -> None:
    leader = Leader(thread, client, monkeypatch)
    # What a leader does not know is asked for once more.
    leader.answers = [{OURS: end}] * (2 if end.epoch < 0 else 1)
    client.begins = 4
    assert thread._leaders.holds_back(OURS, held, 8)
    await leader.told()
    assert leader.lost == [(OURS, cut)]
    assert thread._leaders.holds_back(OURS, held, 8), "until it is sought"
    assert leader.answers == []
    thread._goes_back(OURS, cut, recreated=False)
    assert thread._leaders.read(OURS) == read
    thread._goes_back(OURS, 0, recreated=True)
    assert thread._leaders.read(OURS) is None


async def test_a_leader_that_cannot_say_is_believed(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: None}] * 2
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    assert not thread._leaders.holds_back(OURS, 5, 8)
    assert leader.lost == []


@pytest.mark.parametrize("odd, end", [(1, End(1, 4)), (0x40000003, End(-1, -1)), (4, End(3, 900))])
async def test_an_epoch_that_its_leader_does_not_have_there_is_not_believed(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch, odd: int, end: End
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.knows = {3: End(3, 900), odd: end}
    for _ in range(2):
        assert thread._leaders.holds_back(OURS, odd, 8)
        await leader.told()
    assert not thread._leaders.holds_back(OURS, odd, 8)
    thread._leaders.taken(OURS, odd, 9)
    assert (thread._leaders.read(OURS), leader.lost) == (Read(9, None), [])
    assert thread._leaders.holds_back(OURS, 3, 9)
    await leader.told()
    thread._leaders.taken(OURS, 3, 10)
    assert (thread._leaders.read(OURS), leader.lost) == (Read(10, 3), [])


@pytest.mark.parametrize("odd", [2, 3, 6, 1003])
async def test_an_epoch_whose_first_batch_says_another_one_is_read_once(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch, odd: int
) -> None:
    """What it says is damaged. Taken for the epoch before, it was gone back to for ever."""
    leader = Leader(thread, client, monkeypatch)
    leader.knows = {2: End(2, 4), 3: End(3, 8), 5: End(5, 20), 6: End(5, 20)}
    read = 8
    back: list[int] = []
    while read < 20 and len(back) < 9:
        said = odd if read == 8 else 5
        if not thread._leaders.holds_back(OURS, said, read):
            read += 4
            thread._leaders.taken(OURS, said, read)
            continue
        await leader.told()
        if leader.lost:
            read = leader.lost.pop()[1]
            back.append(read)
            thread._goes_back(OURS, read, recreated=False)
    assert back == ([8] if odd == 3 else [])
    assert thread.epoch_before(OURS, 20) == 5


async def test_an_epoch_that_does_not_rise_is_not_believed(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch before is damaged. What it says is known, and is later than it was written."""
    leader = Leader(thread, client, monkeypatch)
    said: list[str] = []
    monkeypatch.setattr(thread, "_say", said.append)
    leader.knows = {3: End(3, 20), 5: End(5, 40)}
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    thread._leaders.taken(OURS, 5, 9)
    for _ in range(2):
        assert thread._leaders.holds_back(OURS, 3, 9)
        await leader.told()
    thread._leaders.taken(OURS, 3, 20)
    assert (thread._leaders.read(OURS), leader.lost) == (Read(20, None), [])
    (line,) = said
    assert "no batch of epoch 3 at offset 9" in line
    assert "persister audit" in line


async def test_a_leader_is_asked_for_the_last_epoch_that_is_known(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.knows = {3: End(3, 9)}
    for _ in range(2):
        assert thread._leaders.holds_back(OURS, 5, 8)
        await leader.told()
    thread._leaders.taken(OURS, 5, 12)
    leader.knows = {3: End(3, 6), 7: End(7, 20)}
    assert await thread._lost_from(OURS) == 6
    assert thread._leaders.holds_back(OURS, 7, 12)
    await leader.told()
    assert leader.lost == [(OURS, 6)]
    thread._goes_back(OURS, 6, recreated=False)
    assert thread._leaders.read(OURS) == Read(6, 3)


async def test_what_was_fetched_from_a_leader_that_is_replaced_is_not_taken_for_the_next_ones(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one has other records there, in the epoch before."""
    leader = Leader(thread, client, monkeypatch)
    thread._shelf = {TopicPartition(*OURS): "of the leader before"}
    leader.knows = {3: End(3, 12), 5: End(3, 12), 6: End(6, 20)}
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    assert (thread._shelf, leader.lost) == ({}, [])
    thread._leaders.taken(OURS, 3, 12)
    assert thread._leaders.read(OURS) == Read(12, 3)


async def test_a_leader_that_leads_again_has_all_read_that_it_has_in_the_others_place(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went on in its epoch beyond where the other one began, and that was passed over."""
    leader = Leader(thread, client, monkeypatch)
    thread._leaders.taken(OURS, 4, 16)
    leader.answers = [{OURS: End(3, 12)}]
    assert thread._leaders.holds_back(OURS, 5, 16)
    await leader.told()
    assert leader.lost == [(OURS, 8)]
    thread._goes_back(OURS, 8, recreated=False)
    assert thread._leaders.read(OURS) == Read(8, 3)


@pytest.mark.parametrize(
    "told, noted",
    [
        pytest.param([End(6, 900)], 6, id="it knows it"),
        pytest.param([End(4, 900)], None, id="it knows one before it that goes on"),
        pytest.param([None], 6, id="it cannot say"),
        pytest.param([End(6, 8)], None, id="it says that it ends before"),
        pytest.param([End(-1, -1)] * 2, None, id="it is later than all that it has"),
        pytest.param([End(-1, -1), End(6, 900)], 6, id="it did not lead any more"),
    ],
)
async def test_the_first_batchs_epoch_is_noted_as_far_as_its_leader_knows_it(
    thread: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    told: list[End | None],
    noted: int | None,
) -> None:
    """After a going back to the start it was believed again, and gone back from again, for ever."""
    leader = Leader(thread, client, monkeypatch)
    thread._leaders.forget()
    times = 1 if noted == 6 else 2  # what is denied is fetched again
    leader.answers = [{OURS: end} for end in told] * times
    for _ in range(times):
        assert thread._leaders.holds_back(OURS, 6, 8)
        await leader.told()
    assert not thread._leaders.holds_back(OURS, 6, 8)
    thread._leaders.taken(OURS, 6, 9)
    assert thread.epoch_before(OURS, 9) == noted
    assert (leader.lost, leader.answers) == ([], [])
    assert leader.pauses == [module.NEW_LEADER_SECONDS] * (len(told) - 1) * times


async def test_what_was_fetched_from_a_leader_that_is_replaced_is_fetched_again(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come into its place would be passed over, since nothing was known of the log."""
    leader = Leader(thread, client, monkeypatch)
    thread._leaders.forget()
    thread._shelf = {TopicPartition(*OURS): "of the leader before"}
    leader.knows = {3: End(3, 20)}
    assert thread._leaders.holds_back(OURS, 2, 4)
    await leader.told()
    assert (thread._shelf, leader.looked, leader.lost) == ({}, 1, [])
    assert thread._leaders.read(OURS) is None
    assert thread._leaders.holds_back(OURS, 3, 4)
    await leader.told()
    assert not thread._leaders.holds_back(OURS, 3, 4)


async def test_leaders_that_lead_in_turn_are_followed_each_time(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second leader's records in the place of the first one's would not be read."""
    leader = Leader(thread, client, monkeypatch)
    for _ in range(3):
        leader.answers = [{OURS: End(3, 6)}]
        assert thread._leaders.holds_back(OURS, 4, 8)
        await leader.told()
        thread._goes_back(OURS, 6, recreated=False)
        leader.answers = [{OURS: End(3, 8)}] * 2
        assert thread._leaders.holds_back(OURS, 3, 6)
        await leader.told()
        thread._leaders.taken(OURS, 3, 8)  # of the first one, which leads again
    assert (leader.lost, leader.said) == ([(OURS, 6)] * 3, [])


@pytest.mark.parametrize("epochs_of_log", [(6, 2), (1003, 3)])
async def test_a_log_that_begins_with_an_epoch_its_leader_does_not_know_is_read_once(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch, epochs_of_log: tuple[int, int]
) -> None:
    """The metadata were restored from a copy, or the first batch's epoch is damaged."""
    leader = Leader(thread, client, monkeypatch)
    thread._leaders.forget()
    odd, known = epochs_of_log
    leader.knows = {known: End(known, 20)}
    for epoch, offset, times in [(odd, 0, 2), (known, 10, 1)]:
        for _ in range(times):
            assert thread._leaders.holds_back(OURS, epoch, offset)
            await leader.told()
        assert not thread._leaders.holds_back(OURS, epoch, offset)
        thread._leaders.taken(OURS, epoch, offset + 10)
    assert leader.lost == []
    assert [thread.epoch_before(OURS, at) for at in (10, 20)] == [None, known]


async def test_what_was_gone_back_from_is_not_gone_back_from_again(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that knows an epoch now and then would have the log read for ever."""
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: End(-1, -1)}] * 2
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    assert leader.lost == [(OURS, 0)]
    thread._goes_back(OURS, 0, recreated=False)
    leader.answers = [{OURS: End(3, 900)}, {OURS: End(-1, -1)}, {OURS: End(-1, -1)}]
    assert thread._leaders.holds_back(OURS, 3, 0)
    await leader.told()
    thread._leaders.taken(OURS, 3, 8)
    leader.answers += [{OURS: End(-1, -1)}] * 2
    for _ in range(2):
        assert thread._leaders.holds_back(OURS, 5, 8)
        await leader.told()
    assert not thread._leaders.holds_back(OURS, 5, 8)
    thread._leaders.taken(OURS, 5, 9)
    assert (leader.lost, thread.epoch_before(OURS, 9)) == ([(OURS, 0)], None)
    said = leader.said[0]
    assert said.startswith("The leader of chunked/0 says once more that it lacks some of what was")


@pytest.mark.parametrize("next_epoch", [4, 6])
async def test_a_leader_that_has_all_that_is_committed_has_nothing_read_again(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch, next_epoch: int
) -> None:
    """It never had the epoch of what was fetched behind it, and of which nothing was finished."""
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: End(3, 8)}, {OURS: End(5, 9)}]
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    # What waited is dropped, and another leader is elected.
    leader.answers = [{OURS: End(3, 8)}, {OURS: End(next_epoch, 9)}]
    assert thread._leaders.holds_back(OURS, next_epoch, 8)
    await leader.told()
    assert (leader.lost, leader.asked[2:]) == ([], [{OURS: 3}, {OURS: next_epoch}])
    thread._leaders.taken(OURS, next_epoch, 12)
    assert thread.epoch_before(OURS, 8) == 3


async def test_a_broker_that_does_not_know_yet_that_another_one_leads_is_not_believed(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has stood still. All of the log was read again."""
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: End(-1, -1)}, {OURS: End(3, 9)}]
    assert await thread._lost_from(OURS) is None
    assert leader.asked == [{OURS: 3}, {OURS: 3}]
    assert (leader.pauses, leader.refreshed) == ([module.NEW_LEADER_SECONDS], 1)


async def test_whoever_leads_is_asked_until_somebody_answers(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    has: dict[TP, End | None] = {OURS: End(3, 9)}
    lasts: dict[TP, End | None] = {OURS: End(5, 9)}
    leader.answers = [{}, {}, has, {}, has, lasts]
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    assert (len(leader.asked), leader.refreshed, leader.lost) == (6, 3, [])
    assert leader.pauses == [module.TROUBLE_SECONDS] * 3
    assert not thread._leaders.holds_back(OURS, 5, 8)


async def test_a_leader_that_does_not_answer_for_some_time_is_named_once(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{}] * 40 + [{OURS: End(3, 9)}, {OURS: End(5, 9)}]
    assert not thread.unanswered()
    assert thread._leaders.holds_back(OURS, 5, 8)
    assert thread.unanswered() == {OURS}
    await leader.told()
    named, answered = leader.said
    assert named.startswith("The leader of chunked/0 does not say whether it has all")
    assert answered == "The leader of chunked/0 says what it has"
    assert not thread.unanswered()


async def test_a_leader_that_answers_soon_is_not_spoken_of(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{}] * 9 + [{OURS: End(3, 9)}, {OURS: End(5, 9)}]
    assert thread._leaders.holds_back(OURS, 5, 8)
    await leader.told()
    assert leader.said == []


async def test_what_a_new_leader_has_means_nothing_once_positions_are_set_anew(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [{OURS: End(3, 5)}]
    assert thread._leaders.holds_back(OURS, 5, 8)
    thread._leaders.forget()
    await leader.told()
    assert leader.lost == []
    assert thread._leaders.read(OURS) is None


@pytest.mark.parametrize(
    "answer, expected",
    [
        ({OURS: End(3, 5)}, 5),
        ({OURS: End(3, 8)}, None),
        ({OURS: End(-1, -1)}, 0),
        ({OURS: None}, None),
        ({}, None),
    ],
)
async def test_from_where_on_a_log_has_lost_what_was_read(
    thread: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    expected: int | None,
) -> None:
    leader = Leader(thread, client, monkeypatch)
    leader.answers = [answer] * 2
    assert await thread._lost_from(OURS) == expected
    asked = len(leader.asked)
    assert await thread._lost_from(TP("chunked", 1)) is None
    assert len(leader.asked) == asked == (2 if answer == {OURS: End(-1, -1)} else 1)


async def test_an_epoch_stays_committed_while_its_leader_does_not_tell_where_it_ends(
    thread: Any, client: Any
) -> None:
    """The offset is committed once more, with the id of its topic."""

    async def away(*_: Any) -> None:
        raise NodeNotReadyError

    client._client = SimpleNamespace(
        cluster=SimpleNamespace(leader_for_partition=lambda _: 1), send=away
    )
    assert await resumed(thread, client, 8, "epoch=3") == {}
    assert thread.epoch_before(OURS, 8) == 3


async def test_an_id_that_was_replaced_is_not_believed_any_more(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brokers that do not agree cost one rebalance, however often they tell the other id."""
    told = {OURS: bytes(16)}

    async def ids(*_: Any) -> dict[TP, bytes]:
        return dict(told)

    monkeypatch.setattr(topic_ids, "ids", ids)
    client._client = None
    old, new = bytes(16), b"new".ljust(16)
    assert await thread._topic_ids([OURS], {}) == {OURS: old}
    told[OURS] = new
    assert await thread._topic_ids([OURS], {OURS: old}) == {OURS: new}
    told[OURS] = old
    assert await thread._topic_ids([OURS], {OURS: new}) == {}
    other = TP("another", 0)
    told[other] = old
    assert await thread._topic_ids([other], {}) == {other: old}, "of another topic it may be true"


async def test_what_is_revoked_while_kafka_says_what_is_committed_of_it_is_not_sought(
    thread: Any, client: Any
) -> None:
    """aiokafka would fail an assertion, and that ends the worker."""
    assigned = [{OURS}, set()]
    thread.assignment = lambda: assigned.pop(0)
    client._coordinator = Coordinator(8, "")
    client._subscription.unsubscribe()
    assert await thread._seek_to_committed() == {OURS: 8}


async def test_of_a_commit_without_an_epoch_nothing_is_asked(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(_client: object, asked: dict[TP, int]) -> dict[TP, End]:
        return dict.fromkeys(asked, End(3, 0))

    monkeypatch.setattr(epochs, "ends", ends)
    client._client = None
    assert await resumed(thread, client, 8, "somebody's") == {}


async def test_a_topic_that_the_metadata_do_not_tell_of_yet_has_no_number_of_partitions(
    thread: Any, client: Any
) -> None:
    """Faust takes 0 of the guard's new changelog for a mistake in its configuration."""
    client._coordinator = SimpleNamespace(_metadata_snapshot={"documents": 4, "changelog": 0})
    counts = [thread.topic_partitions(name) for name in ("documents", "changelog", "other")]
    assert counts == [4, None, None]


async def test_offsets_that_a_broker_fails_to_tell_are_asked_for_again(
    thread: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended the worker in the middle of a rebalance."""
    monkeypatch.setattr(module, "TROUBLE_SECONDS", 0)
    answers: list[Any] = [UnknownError(), UnknownError(), {TOPIC: 7}]

    async def ask(_partitions: list[TopicPartition], _timeout: float) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    untyped: Any = client
    untyped._request_timeout_ms = 40_000
    thread.known_partitions = lambda topics: dict.fromkeys(topics, 1)

    assert await thread._existing_offsets(ask, [OURS]) == {OURS: 7}


class Leaders:
    """A client's cluster, whose metadata change each time it looks, and what its leaders tell.

    Args:
        leaders: of the partitions of a topic of three, one for each look.
        silent: a leader that does not answer.
        unanswered: a partition for which none does.
    """

    def __init__(
        self, *leaders: list[int], silent: int | None = None, unanswered: int | None = None
    ) -> None:
        self._leaders = list(leaders)
        self._silent = silent
        self._unanswered = unanswered
        self.asked: list[list[int]] = []
        self.clock = 100.0
        self.cluster = SimpleNamespace(leader_for_partition=lambda tp: self.now()[tp.partition])

    def now(self) -> list[int]:
        return self._leaders[0]

    async def force_metadata_update(self) -> None:
        if self._leaders[1:]:
            del self._leaders[0]
        self.clock += 0.5

    async def beginning_offsets(self, asked: list[TopicPartition], ms: float) -> dict[Any, int]:
        partitions = [tp.partition for tp in asked]
        self.asked.append(partitions)
        leaders = [self.now()[partition] for partition in partitions]
        if self._silent in leaders or self._unanswered in partitions:
            self.clock += ms / 1000
            raise KafkaTimeoutError
        return dict.fromkeys(asked, 3)

    async def end_offsets(self, asked: list[TopicPartition], _ms: float) -> dict[Any, int]:
        return {tp: 7 + tp.partition for tp in asked}


THREE = [TP("chunked", number) for number in range(3)]


@pytest.mark.parametrize(
    "leaders, missing",
    [
        pytest.param(Leaders([1, 1, 2]), [], id="all tell"),
        pytest.param(Leaders([1, -1, 2]), [1], id="one has no leader"),
        pytest.param(Leaders([1, -1, 2], [1, 2, 2]), [], id="one has none at first"),
        pytest.param(Leaders([1, 5, 2], silent=5), [1], id="one does not answer"),
        pytest.param(Leaders([1, 5, 2], [1, 2, 2], silent=5), [], id="another one leads by then"),
        pytest.param(Leaders([1, 1, 1], unanswered=1), [1], id="one tells of the others"),
    ],
)
async def test_a_leader_that_does_not_tell_where_a_log_ends_keeps_no_other_from_it(
    thread: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    leaders: Leaders,
    missing: list[int],
) -> None:
    monkeypatch.setattr(module, "monotonic", lambda: leaders.clock)
    monkeypatch.setattr(module, "TROUBLE_SECONDS", 0)
    client._client = client._fetcher = leaders
    thread.known_partitions = lambda topics: dict.fromkeys(topics, 3)
    expected = {tp: (3, 7 + tp.partition) for tp in THREE if tp.partition not in missing}
    assert await thread._extents(set(THREE)) == expected


async def test_a_leader_that_tells_is_asked_once_for_all_of_its_partitions(
    thread: Any, client: Any
) -> None:
    client._client = client._fetcher = leaders = Leaders([1, 1, 2])
    await thread._extents(set(THREE))
    assert sorted(map(sorted, leaders.asked)) == [[0, 1], [2]]


async def test_where_a_log_ends_that_is_gone_nobody_is_asked_twice(
    thread: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TROUBLE_SECONDS", 0)
    client._client = client._fetcher = leaders = Leaders([1, -1, -1])
    thread.known_partitions = lambda topics: dict.fromkeys(topics, 1)
    assert await thread._extents(set(THREE)) == {THREE[0]: (3, 7)}
    assert leaders.asked == [[0]]
