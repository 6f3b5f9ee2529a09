"""How long Kafka keeps what is unread, and when that is said."""

import logging
from typing import cast

import pytest
from faust.types import TP

from app.kafka.topic_settings import shortcomings
from app.kafka.topics import TopicSpec
from app.kafka.untimed import NO_TIMESTAMP
from app.monitoring.lag import Lags, PartitionLag
from app.monitoring.retention import Retention, Unread
from app.monitoring.retention.policy import Head, Left, Policy, left
from app.monitoring.retention.watch import LOOK_SECONDS, SOON_SECONDS, pause_after
from tests.fakes.unread import FakeUnread

HOUR = 3600.0
NOW = 1_767_325_446.0
TOPIC = "completed0"
FIRST, SECOND = TP(TOPIC, 0), TP(TOPIC, 1)


def head(age: float, size: float = 1000) -> Head:
    return Head(int((NOW - age) * 1000), size)


@pytest.mark.parametrize(
    "settings, policy",
    [
        (("delete", "3600000", "1073741824"), Policy(3_600_000, 1_073_741_824)),
        (("delete", "-1", "-1"), Policy()),
        (("compact,delete", "1000", "-1"), Policy(1000)),
        (("compact", "1000", "1000"), Policy()),
    ],
)
def test_a_policy_is_read_from_a_topics_settings(
    settings: tuple[str, str, str], policy: Policy
) -> None:
    keys = ("cleanup.policy", "retention.ms", "retention.bytes")
    assert Policy.of(dict(zip(keys, settings, strict=True))) == policy


def test_by_age_the_oldest_unread_record_decides() -> None:
    found = left(Policy(ms=3_600_000), head(age=900), 10, None, NOW)
    assert found == Left(NOW + 2700, 0.75, 10)


def test_by_size_it_is_the_room_for_more_records() -> None:
    policy = Policy(bytes=1_000_000)
    assert left(policy, head(age=5), 250, 50.0, NOW) == Left(NOW + 15, 0.75, 250)
    assert left(policy, head(age=5), 250, None, NOW) == Left(None, 0.75, 250)
    assert left(policy, head(age=5), 250, 0.0, NOW) == Left(None, 0.75, 250)
    assert left(policy, head(age=5), 2000, None, NOW) == Left(NOW, 0.0, 2000)


def test_whichever_comes_first_counts() -> None:
    policy = Policy(ms=3_600_000, bytes=1_000_000)
    assert left(policy, head(age=1800), 100, 1.0, NOW) == Left(NOW + 900, 0.5, 100)
    assert left(policy, head(age=1800), 100, 0.1, NOW) == Left(NOW + 1800, 0.5, 100)


def test_what_should_be_gone_already_has_nothing_left() -> None:
    assert left(Policy(ms=1000), head(age=60), 1, None, NOW) == Left(NOW - 59, 0.0, 1)
    assert left(Policy(ms=0, bytes=0), head(age=0), 1, None, NOW) == Left(NOW, 0.0, 1)


def test_records_that_are_kept_for_ever_are_in_no_danger() -> None:
    assert left(Policy(), head(age=10**9), 10**9, 10.0, NOW) is None


def test_of_a_record_without_a_time_only_the_size_is_known() -> None:
    untimed = Head(NO_TIMESTAMP, 1000)
    assert left(Policy(ms=3_600_000), untimed, 10, None, NOW) is None
    both = Policy(ms=3_600_000, bytes=1_000_000)
    assert left(both, untimed, 250, 50.0, NOW) == Left(NOW + 15, 0.75, 250)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kafka() -> FakeUnread:
    unread = FakeUnread()
    unread.policies_of = {TOPIC: Policy(ms=int(HOUR * 1000))}
    return unread


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retention(kafka: FakeUnread, clock: Clock, caplog: pytest.LogCaptureFixture) -> Retention:
    caplog.set_level(logging.INFO)
    return Retention(cast("Lags", None), cast("Unread", kafka), 0.5, clock=clock)


def lag(tp: TP, records: int, committed: int = 100) -> PartitionLag:
    return PartitionLag(tp.topic, tp.partition, committed, committed + records)


async def test_partitions_with_something_unread_are_told(
    retention: Retention, kafka: FakeUnread, clock: Clock
) -> None:
    kafka.heads = {FIRST: {100: head(600)}}
    await retention.look([lag(FIRST, 5), lag(SECOND, 0)])
    clock.now += 10
    assert retention.seconds_left(FIRST) == 2990
    assert retention.seconds_left(SECOND) is None
    assert kafka.asked == [(FIRST, 100)]


async def test_the_same_record_is_asked_for_once(retention: Retention, kafka: FakeUnread) -> None:
    kafka.heads = {FIRST: {100: head(600)}}
    await retention.look([lag(FIRST, 5)])
    await retention.look([lag(FIRST, 9)])
    await retention.look([lag(FIRST, 9, committed=101)])
    assert kafka.asked == [(FIRST, 100), (FIRST, 101)]


async def test_there_is_one_warning_until_the_danger_has_passed(
    retention: Retention, kafka: FakeUnread, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.heads = {FIRST: {100: head(600)}, SECOND: {100: head(3000)}}
    for _ in range(3):
        await retention.look([lag(FIRST, 5), lag(SECOND, 7)])
    assert caplog.text.count("Kafka may delete unread records of completed0 soon: 16 %") == 1
    assert "10 minutes" in caplog.text
    assert "12 records wait" in caplog.text
    await retention.look([lag(FIRST, 5), lag(SECOND, 0)])
    assert "completed0 are in no danger any more" in caplog.text
    await retention.look([lag(SECOND, 7)])
    assert caplog.text.count("Kafka may delete") == 2


async def test_the_rate_between_two_looks_tells_when_the_size_is_reached(
    retention: Retention, kafka: FakeUnread, clock: Clock
) -> None:
    kafka.policies_of[TOPIC] = Policy(bytes=1_000_000)
    kafka.heads = {FIRST: {100: head(5)}}
    await retention.look([lag(FIRST, 100)])
    assert retention.seconds_left(FIRST) is None
    clock.now += 10
    await retention.look([lag(FIRST, 200)])
    assert retention.seconds_left(FIRST) == pytest.approx(80)


async def test_a_kafka_that_does_not_answer_is_said_once_and_nothing_is_made_up(
    retention: Retention, kafka: FakeUnread, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.heads = {FIRST: {100: head(600)}}
    await retention.look([lag(FIRST, 5)])
    kafka.failing = True
    await retention.look([lag(FIRST, 5)])
    await retention.look([lag(FIRST, 5)])
    assert retention.seconds_left(FIRST) is None
    assert caplog.text.count("Cannot see how long") == 1
    assert kafka.disconnected == 2
    kafka.failing = False
    await retention.look([lag(FIRST, 5)])
    assert retention.seconds_left(FIRST) == 3000


def settings(**changes: str) -> dict[str, str]:
    good = {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "retention.bytes": "-1",
        "max.message.bytes": "16842752",
        "message.timestamp.type": "LogAppendTime",
    }
    return good | {key.replace("_", "."): value for key, value in changes.items()}


SPEC = TopicSpec("p-persister-documents", 8, settings())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retention_ms": "-1"},
        {"retention_ms": "999999999999"},
        {"max_message_bytes": "99999999"},
        {"message_timestamp_type": "CreateTime"},
    ],
)
def test_a_topic_that_keeps_more_than_it_must_is_good(changes: dict[str, str]) -> None:
    assert shortcomings(SPEC, settings(**changes)) == []


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"retention_ms": "3600000"}, "set PERSISTER_DOCUMENTS_RETENTION"),
        ({"retention_bytes": "1000"}, "--add-config retention.bytes=-1"),
        ({"cleanup_policy": "compact"}, "--add-config cleanup.policy=delete"),
        ({"max_message_bytes": "1048588"}, "--add-config max.message.bytes=16842752"),
    ],
)
def test_a_topic_that_endangers_records_is_told_with_what_to_do(
    changes: dict[str, str], told: str
) -> None:
    (found,) = shortcomings(SPEC, settings(**changes))
    ((key, value),) = changes.items()
    assert found.startswith(f"p-persister-documents has {key.replace('_', '.')}={value}: ")
    assert told in found


def test_it_looks_again_soon_while_it_does_not_know_where_its_partitions_stand() -> None:
    known, unknown = PartitionLag(TOPIC, 0, 5, 9), PartitionLag(TOPIC, 1, None, 9)
    assert pause_after([]) == SOON_SECONDS
    assert pause_after([known, unknown]) == SOON_SECONDS
    assert pause_after([known]) == LOOK_SECONDS
