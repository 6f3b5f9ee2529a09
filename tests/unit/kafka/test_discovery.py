"""The persister's own topics before the start, and OpenWhisk's while it runs."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import faust
import pytest
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaConnectionError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)
from faust.types import TP

from app.kafka import access, admin
from app.kafka.delivery import ChunkTopic
from app.kafka.discovery import Discovery, OwnTopicError, OwnTopics
from app.kafka.subscription import Subscription
from app.kafka.topics import TopicNames
from app.settings import KafkaSettings, LogMode
from models.roles import TopicRole
from tests.fakes.kafka_admin import FakeAdminClient
from tests.fakes.time import until

OWN = ["persister-documents", "persister-dead-letters"]
CHANGELOG = "activation-persister-guard-changelog"


class Thread:
    """The consumer's, which knows of topics what it was told last."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        self.refreshed = 0
        self.ids: dict[str, bytes] = {}

    async def topic_ids(
        self,
        partitions: Iterable[TP],
        known: Mapping[TP, bytes],  # noqa: ARG002 - as `tests.unit.kafka.test_topic_ids` has it
    ) -> dict[TP, bytes]:
        return {tp: self.ids[tp.topic] for tp in partitions if tp.topic in self.ids}

    def known_partitions(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: self.known.get(topic, 0) for topic in topics}

    async def refresh_metadata(self) -> None:
        self.refreshed += 1


class Around:
    """The worker around these services, in as far as they ask for it."""

    def __init__(self, **kafka: Any) -> None:
        self.app = faust.App("test", broker="kafka://nowhere", set_as_current=False)
        self.settings = KafkaSettings(**kafka)
        self.names = TopicNames("")
        self.channels = {role: ChunkTopic(self.app, role=role) for role in TopicRole}
        self.conductor: Any = self.app.topics
        self.subscription = Subscription(
            self.conductor, self.channels, self.names, LogMode.SEPARATE
        )
        self.thread = Thread()
        self.ended: list[str] = []
        self.read_anew = 0

    def own_topics(self) -> OwnTopics:
        return OwnTopics(self.settings, self.names, self.subscription, self.app)

    async def look_for_recreated(self) -> None:
        self.read_anew += 1

    def discovery(self) -> Discovery:
        thread: Any = self.thread
        return Discovery(
            self.settings,
            dict.fromkeys(OWN, 1) | {OWN[0]: self.settings.partitions},
            self.subscription,
            fixed=OWN[:1],
            thread=lambda: thread,
            read_anew=self.look_for_recreated,
            end=lambda error: self.ended.append(str(error)),
        )


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeAdminClient:
    behind = FakeAdminClient()
    monkeypatch.setattr(admin, "AIOKafkaAdminClient", lambda **_: behind)
    monkeypatch.setattr(access, "RETRY_SECONDS", 0)
    return behind


@pytest.mark.parametrize("exists", [True, False])
async def test_a_topic_that_may_not_be_read_or_written_ends_the_start(
    kafka: FakeAdminClient, *, exists: bool
) -> None:
    if exists:
        await Around().own_topics().on_start()
    kafka.rights |= {OWN[0]: 1 << 8 | 1 << 4, OWN[1]: 1 << 8 | 1 << 3}
    named = f"grant Read on {OWN[0]} and Write on {OWN[1]}"
    with pytest.raises(access.AccessError, match=named):
        await Around().own_topics().on_start()


async def test_missing_topics_are_created_as_the_settings_say(kafka: FakeAdminClient) -> None:
    await Around(partitions=3, replication=2).own_topics().on_start()
    assert [topic.name for topic in kafka.created] == OWN
    documents, letters = kafka.created
    assert (documents.num_partitions, letters.num_partitions) == (3, 1)
    assert {topic.replication_factor for topic in kafka.created} == {2}
    assert documents.topic_configs["message.timestamp.type"] == "LogAppendTime"
    assert kafka.connected == 0


async def test_topics_that_exist_are_left_as_they_are(kafka: FakeAdminClient) -> None:
    kafka.topics = {OWN[0]: 8, OWN[1]: 5}
    await Around().own_topics().on_start()
    assert kafka.created == []


async def test_a_topic_that_endangers_records_is_reported(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.topics = {OWN[0]: 8, OWN[1]: 5}
    kafka.all_settings = {"max.message.bytes": "1048588", "retention.ms": "-1"}
    await Around().own_topics().on_start()
    for topic in OWN:
        assert f"{topic} has max.message.bytes=1048588" in caplog.text
    assert caplog.text.count("WARNING") == 2


async def test_a_changed_application_id_says_that_everything_is_read_again(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.topics = {OWN[0]: 8, OWN[1]: 5}
    kafka.committed = {"foreign": {("theirs", 0): 3}, "before": {(OWN[0], 0): 17}}
    await Around(app_id="another").own_topics().on_start()
    assert "the group another has never read" in caplog.text
    assert "PERSISTER_APP_ID=before" in caplog.text
    caplog.clear()
    await Around(app_id="before").own_topics().on_start()
    assert "never read" not in caplog.text


async def test_settings_that_nobody_may_read_keep_no_worker_from_starting(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.topics = {OWN[0]: 8, OWN[1]: 5}
    kafka.unreadable = TopicAuthorizationFailedError.errno
    await Around().own_topics().on_start()
    assert "TopicAuthorizationFailedError" in caplog.text


async def test_another_worker_may_have_been_faster(kafka: FakeAdminClient) -> None:
    kafka.answers = dict.fromkeys(OWN, TopicAlreadyExistsError)
    await Around().own_topics().on_start()
    assert kafka.connected == 0


async def test_another_number_of_partitions_says_what_to_set(kafka: FakeAdminClient) -> None:
    kafka.topics = {OWN[0]: 3}
    with pytest.raises(OwnTopicError, match=r"set PERSISTER_PARTITIONS=3"):
        await Around(partitions=8).own_topics().on_start()
    assert kafka.connected == 0


async def test_the_guards_changelog_follows_an_internal_topic_that_has_grown(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    await Around(partitions=4).own_topics().on_start()
    kafka.topics |= {OWN[0]: 6, CHANGELOG: 4}
    kafka.settings[CHANGELOG] = {"cleanup.policy": "compact"}
    await Around(partitions=6).own_topics().on_start()
    assert kafka.topics[CHANGELOG] == 6
    assert f"{CHANGELOG} has 6 partitions now instead of 4" in caplog.text


async def test_a_changelog_that_may_not_grow_or_has_too_many_partitions_ends_the_start(
    kafka: FakeAdminClient,
) -> None:
    await Around(partitions=4).own_topics().on_start()
    kafka.topics[CHANGELOG] = 6
    kafka.settings[CHANGELOG] = {"cleanup.policy": "compact"}
    with pytest.raises(OwnTopicError, match=rf"stop all workers and delete {CHANGELOG}"):
        await Around(partitions=4).own_topics().on_start()
    kafka.topics[CHANGELOG] = 3
    kafka.answers = {CHANGELOG: TopicAuthorizationFailedError}
    with pytest.raises(OwnTopicError, match=r"grant Alter on it, or delete it"):
        await Around(partitions=4).own_topics().on_start()


async def test_topics_that_kafka_made_by_itself_are_put_right(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.topics = dict.fromkeys([*OWN, CHANGELOG], 1)
    await Around(partitions=4).own_topics().on_start()
    assert kafka.topics == {OWN[0]: 4, OWN[1]: 1, CHANGELOG: 4}
    assert kafka.settings[OWN[0]]["message.timestamp.type"] == "LogAppendTime"
    assert kafka.settings[CHANGELOG]["cleanup.policy"] == "compact"
    assert caplog.text.count("auto.create.topics.enable") == 2


async def test_a_topic_that_kafka_made_and_does_not_let_be_changed_ends_the_start(
    kafka: FakeAdminClient,
) -> None:
    kafka.topics = dict.fromkeys(OWN, 1)
    kafka.answers = {OWN[0]: TopicAuthorizationFailedError}
    with pytest.raises(OwnTopicError, match=r"grant Alter and AlterConfigs on it, or delete it"):
        await Around(partitions=4).own_topics().on_start()


async def test_what_the_persister_made_with_one_partition_is_not_changed(
    kafka: FakeAdminClient,
) -> None:
    await Around(partitions=1).own_topics().on_start()
    with pytest.raises(OwnTopicError, match=r"set PERSISTER_PARTITIONS=1"):
        await Around(partitions=4).own_topics().on_start()
    kafka.settings[CHANGELOG] = {"cleanup.policy": "compact"}
    kafka.topics[CHANGELOG] = 1
    await Around(partitions=1).own_topics().on_start()
    assert set(kafka.topics.values()) == {1}


async def test_it_waits_for_a_kafka_that_is_not_there_yet_and_says_so_once(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.failures = [KafkaConnectionError("refused"), OSError("no name"), KafkaConnectionError()]
    await Around().own_topics().on_start()
    assert kafka.attempts == 4
    assert caplog.text.count("PERSISTER_KAFKA_URL") == 1
    assert list(kafka.topics) == OWN


async def test_it_waits_for_brokers_that_have_just_started(kafka: FakeAdminClient) -> None:
    kafka.fenced = 2
    await Around().own_topics().on_start()
    assert list(kafka.topics) == OWN


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError, InvalidReplicationFactorError])
async def test_what_no_waiting_mends_ends_the_start(
    kafka: FakeAdminClient, error: type[Exception]
) -> None:
    kafka.answers = {OWN[0]: error}
    with pytest.raises(OwnTopicError, match=rf"{OWN[0]} .*{error.__name__}.*PERSISTER_REPLICATION"):
        await Around().own_topics().on_start()
    assert kafka.connected == 0


async def test_a_worker_that_is_told_to_stop_waits_no_longer(
    kafka: FakeAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "RETRY_SECONDS", 3600)
    kafka.failures = [KafkaConnectionError()] * 100
    around = Around()
    starting = asyncio.create_task(around.own_topics().on_start())
    await until(lambda: kafka.attempts)
    assert not starting.done()
    around.app._stopped.set()
    await asyncio.wait_for(starting, 20)
    assert kafka.attempts == 1


def test_topics_reach_the_channels_of_their_role_and_only_once() -> None:
    around = Around()
    assert around.subscription.add(["completed0", "completed-others", "health"]) == {
        "completed0",
        "completed-others",
    }
    assert around.channels[TopicRole.COMPLETED].topics == ("completed0",)
    assert around.channels[TopicRole.OTHERS].topics == ("completed-others",)
    assert not around.channels[TopicRole.ACTIVATIONS].topics
    assert around.subscription.add(["completed0", "completed1"]) == {"completed1"}
    assert around.channels[TopicRole.COMPLETED].topics == ("completed0", "completed1")
    assert around.subscription.topics == {"completed0", "completed1", "completed-others"}


def test_a_topic_that_vanishes_stays_subscribed() -> None:
    around = Around()
    around.subscription.add(["completed0"])
    assert around.subscription.add([]) == set()
    assert around.subscription.topics == {"completed0"}


def test_the_clones_that_agents_read_get_new_topics_too() -> None:
    around = Around()
    clone: Any = around.channels[TopicRole.COMPLETED].clone(is_iterator=True)
    around.conductor.add(clone)
    around.subscription.add(["completed0"])
    assert clone.topics == ("completed0",)


async def test_faust_is_asked_to_subscribe_until_it_has(kafka: FakeAdminClient) -> None:
    around = Around()
    conductor = around.conductor
    changed = conductor._subscription_changed = asyncio.Event()
    watching = around.discovery()
    kafka.topics = {"completed0": 1}
    await watching.look()
    assert changed.is_set()
    # Faust forgets a change that comes while it rebalances.
    changed.clear()
    await watching.look()
    assert changed.is_set()
    changed.clear()
    conductor._topic_name_index["completed0"] = {around.channels[TopicRole.COMPLETED]}
    await watching.look()
    assert not changed.is_set()
    await watching.on_stop()
    assert kafka.connected == 0


async def test_what_it_is_told_it_does_not_ask_for(kafka: FakeAdminClient) -> None:
    around = Around()
    conductor = around.conductor
    changed = conductor._subscription_changed = asyncio.Event()
    watching = around.discovery()
    watching.hear({**dict.fromkeys(OWN, around.settings.partitions), "completed0": 1})
    await watching.look()
    assert changed.is_set()
    assert kafka.connected == 0
    kafka.topics = dict.fromkeys(OWN, around.settings.partitions)
    await watching.look()
    assert kafka.connected == 1, "it was not told again"
    await watching.on_stop()


async def test_it_looks_as_soon_as_it_is_told(
    kafka: FakeAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Around(discovery_interval=600.0)
    monkeypatch.setattr("app.kafka.discovery.EARLY", 0.0)
    conductor = around.conductor
    changed = conductor._subscription_changed = asyncio.Event()
    watching = around.discovery()
    async with watching:
        watching.hear({**dict.fromkeys(OWN, around.settings.partitions), "completed0": 1})
        await asyncio.wait_for(changed.wait(), 20)
    assert kafka.connected == 0


async def test_a_kafka_that_is_away_is_told_once_and_once_that_it_is_back(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kafka.topics = {"completed0": 1}
    around = Around()
    watching = around.discovery()
    for _ in range(2):
        caplog.clear()
        kafka.failures = [KafkaConnectionError("away"), OSError("no name"), KafkaConnectionError()]
        for _ in range(3):
            await watching.look()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "KafkaConnectionError" in caplog.text
        for _ in range(2):
            await watching.look()
        assert caplog.text.count("Kafka answers again") == 1
        await watching.on_stop()
        assert kafka.connected == 0
    assert around.subscription.topics == {"completed0"}


async def test_a_worker_whose_own_topic_is_gone_ends(kafka: FakeAdminClient) -> None:
    around = Around(partitions=1)
    kafka.topics = dict.fromkeys(OWN, 1)
    watching = around.discovery()
    await watching.look()
    del kafka.topics["persister-documents"]
    await watching.look()
    assert around.ended == []
    await watching.look()
    (message,) = around.ended
    assert message.startswith("persister-documents is gone from Kafka, or may not be seen")
    assert "right Describe" in message


async def test_a_topic_that_a_busy_broker_does_not_know_yet_is_not_gone(
    kafka: FakeAdminClient,
) -> None:
    """With a thousand partitions it takes a while from their creation to the first mention."""
    around = Around(partitions=1)
    kafka.topics = {OWN[0]: 1}
    watching = around.discovery()
    for _ in range(5):
        await watching.look()
    kafka.topics[OWN[1]] = 1
    await watching.look()
    assert around.ended == []


async def test_a_worker_whose_own_topic_was_made_again_by_kafka_itself_ends(
    kafka: FakeAdminClient,
) -> None:
    around = Around(partitions=4)
    kafka.topics = {OWN[0]: 4, OWN[1]: 1}
    watching = around.discovery()
    await watching.look()
    kafka.topics[OWN[0]] = 1
    await watching.look()
    await watching.look()
    (message,) = around.ended
    assert message.startswith("persister-documents is gone from Kafka: was it deleted")


async def test_a_worker_whose_own_topic_was_recreated_ends(kafka: FakeAdminClient) -> None:
    around = Around(partitions=1)
    kafka.topics = dict.fromkeys(OWN, 1)
    watching = around.discovery()
    # One that Kafka says nothing of was not re-created.
    for around.thread.ids in ({OWN[0]: b"one"}, {}, {OWN[0]: b"one"}):
        await watching.look()
    assert (around.ended, around.read_anew) == ([], 3)
    around.thread.ids = {OWN[0]: b"another"}
    await watching.look()
    (message,) = around.ended
    assert message.startswith("persister-documents is gone from Kafka")


async def test_a_worker_whose_internal_topic_has_grown_ends(kafka: FakeAdminClient) -> None:
    around = Around(partitions=4)
    kafka.topics = {OWN[0]: 4, OWN[1]: 3}
    watching = around.discovery()
    await watching.look()
    assert around.ended == []
    kafka.topics[OWN[0]] = 6
    await watching.look()
    (message,) = around.ended
    assert "set PERSISTER_PARTITIONS=6" in message


async def test_a_broker_that_has_not_heard_of_a_topic_yet_ends_nobody(
    kafka: FakeAdminClient,
) -> None:
    around = Around(partitions=1)
    watching = around.discovery()
    for topics in ({}, dict.fromkeys(OWN, 1), {}):
        kafka.topics = topics
        await watching.look()
    assert around.ended == []


@pytest.mark.parametrize(
    "known,existing,refreshed",
    [(1, 1, 0), (1, 3, 1), (0, 1, 1), (1, 0, 1), (0, 0, 0)],
    ids=["as it was", "grown", "made again", "deleted", "still gone"],
)
async def test_the_consumer_refreshes_its_metadata_when_a_topic_has_changed(
    kafka: FakeAdminClient,
    caplog: pytest.LogCaptureFixture,
    known: int,
    existing: int,
    refreshed: int,
) -> None:
    caplog.set_level("INFO")
    around = Around()
    conductor = around.conductor
    conductor._topic_name_index["completed0"] = {around.channels[TopicRole.COMPLETED]}
    around.thread.known = {"completed0": known} if known else {}
    kafka.topics = {"completed0": existing} if existing else {}
    await around.discovery().look()
    assert around.thread.refreshed == refreshed
    told = "Topics have changed: completed0." in caplog.text
    assert told == bool(known and refreshed), "at a start the consumer knows of none yet"


async def test_a_topic_that_the_log_mode_leaves_out_is_told_once(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    around = Around()
    watching = around.discovery()
    kafka.topics = {OWN[0]: 8, OWN[1]: 1, CHANGELOG: 8, "completed0": 1}
    await watching.look()
    assert watching.overlooked == {}
    kafka.topics |= {"activations": 1}
    await watching.look()
    await watching.look()
    (told,) = [one for one in caplog.messages if "activations" in one]
    assert "Not read, as PERSISTER_LOG_MODE is separate: activations." in told
    assert "set PERSISTER_LOG_MODE=in-record" in told
    assert list(watching.overlooked) == ["activations"]
    await watching.on_stop()


async def test_a_start_that_finds_only_others_topics_says_what_to_check(
    kafka: FakeAdminClient, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.topics = {OWN[0]: 8, OWN[1]: 1, "ow.completed0": 1}
    around = Around()
    await around.own_topics().on_start()
    assert "Not read: ow.completed0: PERSISTER_TOPIC_PREFIX is empty here" in caplog.text
    assert around.discovery().elsewhere == ("ow.completed0",)
