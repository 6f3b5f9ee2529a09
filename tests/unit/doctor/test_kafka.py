"""What is said of Kafka's topics."""

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from faust.types import TP

from app.doctor import Finding, State, worst
from app.doctor.kafka import (
    examine_own,
    examine_replicas,
    further_rights,
    judge_limits,
    log_mode,
    lost_unread,
)
from app.kafka import admin
from app.kafka.clients import RECORD_OVERHEAD
from app.kafka.group_view import Reach
from app.kafka.metadata import Right
from app.kafka.topics import TopicNames, guard_changelog
from app.settings import KafkaSettings, load
from tests.fakes.kafka_admin import FakeAdminClient

MIB = 1024 * 1024
HOUR = "3600000"


@pytest.mark.parametrize(
    "prefix,mode,topics,state,said",
    [
        ("", "separate", ["completed0", "completed-others"], State.OK, "completed-others"),
        ("", "in-record", ["completed0", "activations"], State.OK, "reads activations"),
        ("", "separate", ["completed0", "activations"], State.WARNING, "=in-record"),
        ("", "separate", [], State.WARNING, "none is there yet"),
        ("ow-", "separate", ["completed0"], State.WARNING, "PERSISTER_TOPIC_PREFIX is"),
    ],
)
def test_the_log_mode_fits_the_topics_or_is_said_not_to(
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    mode: str,
    topics: list[str],
    state: State,
    said: str,
) -> None:
    monkeypatch.setenv("PERSISTER_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("PERSISTER_LOG_MODE", mode)
    (finding,) = log_mode(load(), dict.fromkeys(topics, 1))
    assert finding.state is state
    assert said in finding.detail


CHANGELOG = guard_changelog(KafkaSettings(partitions=4))


@pytest.mark.parametrize(
    "partitions,may_alter,state,said",
    [
        (5, True, State.WRONG, f"stop all workers and delete {CHANGELOG.name}"),
        (4, False, State.OK, "4 partitions"),
        (1, True, State.OK, "1 partition; the next worker gives it 4"),
        (1, False, State.WRONG, "grant Alter on it"),
    ],
)
async def test_the_guards_changelog_is_one_with_which_a_worker_starts(
    monkeypatch: pytest.MonkeyPatch,
    partitions: int,
    *,
    may_alter: bool,
    state: State,
    said: str,
) -> None:
    behind = FakeAdminClient()
    monkeypatch.setattr(admin, "AIOKafkaAdminClient", lambda **_: behind)
    behind.topics = {CHANGELOG.name: partitions}
    behind.settings = {CHANGELOG.name: CHANGELOG.config}
    behind.rights = {CHANGELOG.name: 1 << 8 | 1 << 3 | 1 << 4 | may_alter << 7}
    settings = KafkaSettings(partitions=4)
    async with admin.open_admin(settings) as kafka:
        finding = await examine_own(kafka, CHANGELOG, partitions, settings)
    assert (finding.what, finding.state) == (CHANGELOG.name, state)
    assert said in finding.detail


@pytest.mark.parametrize(
    "policy,unreadable,state",
    [
        ("delete", 0, State.WARNING),
        ("compact,delete", 0, State.OK),
        ("delete", TopicAuthorizationFailedError.errno, State.OK),
    ],
)
async def test_a_changelog_that_kafka_does_not_compact_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, policy: str, unreadable: int, state: State
) -> None:
    behind = FakeAdminClient()
    monkeypatch.setattr(admin, "AIOKafkaAdminClient", lambda **_: behind)
    behind.topics = {CHANGELOG.name: 4}
    behind.settings = {CHANGELOG.name: {"cleanup.policy": policy}}
    behind.unreadable = unreadable
    settings = KafkaSettings(partitions=4)
    async with admin.open_admin(settings) as kafka:
        finding = await examine_own(kafka, CHANGELOG, 4, settings)
    assert finding.state is state
    assert ("set cleanup.policy=compact" in finding.detail) == (state is State.WARNING)


def test_a_topic_that_takes_larger_records_than_the_worker_is_a_warning() -> None:
    limits = {"retention.ms": HOUR, "max.message.bytes": str(20 * MIB)}
    finding = judge_limits("completed0", limits, 16 * MIB)
    assert finding.state is State.WARNING
    assert "PERSISTER_MAX_RECORD_BYTES" in finding.detail


def test_a_topic_that_the_gateway_created_for_such_records_is_fine() -> None:
    limits = {"retention.ms": HOUR, "max.message.bytes": str(16 * MIB + RECORD_OVERHEAD)}
    assert judge_limits("activations", limits, 16 * MIB).state is State.OK


@pytest.mark.parametrize("retention,said", [(HOUR, "1.0 h: what"), ("-1", "without end")])
def test_how_long_records_are_kept_is_said(retention: str, said: str) -> None:
    limits = {"retention.ms": retention, "max.message.bytes": str(MIB)}
    assert said in judge_limits("completed0", limits, 16 * MIB).detail


@pytest.mark.parametrize("retention,said", [("3000", "for 3 s"), ("300000", "for 5 minutes")])
def test_a_topic_that_forgets_during_a_restart_is_a_warning(retention: str, said: str) -> None:
    limits = {"retention.ms": retention, "max.message.bytes": str(MIB)}
    finding = judge_limits("completed0", limits, 16 * MIB)
    assert finding.state is State.WARNING
    assert said in finding.detail
    assert "retention.ms" in finding.detail


def test_a_topic_that_may_lose_what_was_acknowledged_is_warned_of() -> None:
    limits = {"retention.ms": HOUR, "max.message.bytes": str(MIB)}
    unclean = "unclean.leader.election.enable"
    finding = judge_limits("completed0", limits | {unclean: "true"}, 16 * MIB)
    assert finding.state is State.WARNING
    assert f"{unclean}=true" in finding.detail
    assert judge_limits("completed0", limits | {unclean: "false"}, 16 * MIB).state is State.OK


def test_what_kafka_deleted_before_it_was_read_is_counted() -> None:
    read, lost = TP("completed0", 0), TP("completed1", 0)
    reaches = {read: Reach(5, 90, 10), TP("new", 0): Reach(5, 9, None), lost: Reach(90, 90, 10)}
    assert lost_unread("completed0", reaches) is None
    assert lost_unread("new", reaches) is None
    finding = lost_unread("completed1", reaches)
    assert finding is not None
    assert finding.detail.startswith("80 records were deleted")
    assert "raise retention.ms" in finding.detail
    documents = lost_unread("persister-documents", {TP("persister-documents", 0): Reach(9, 9, 8)})
    assert documents is not None
    assert "raise PERSISTER_DOCUMENTS_RETENTION" in documents.detail


def test_the_worst_of_all_counts() -> None:
    findings = [Finding("a", state, "") for state in (State.WARNING, State.OK)]
    assert worst(findings) is State.WARNING
    assert worst([*findings, Finding("b", State.WRONG, "")]) is State.WRONG
    assert worst([]) is State.OK


READ, BOTH = {Right.READ}, {Right.READ, Right.WRITE}


@pytest.mark.parametrize(
    "rights, state, said",
    [
        ({"a": BOTH, "b": BOTH}, State.OK, "Write on a and b; not looked at: Describe and"),
        ({"a": READ, "b": BOTH}, State.WARNING, "grant Write on a; not looked at: Describe and"),
        ({"a": BOTH, "persister-replays": READ}, State.WARNING, "Write on persister-replays"),
        ({}, State.OK, "not looked at: Write on a and b; Describe and Write on the transactional"),
    ],
)
def test_what_replay_needs_is_said_and_what_was_not_looked_at(
    rights: dict[str, set[Right]], state: State, said: str
) -> None:
    (finding,) = further_rights(TopicNames(), ["a", "b"], rights)
    assert (finding.what, finding.state) == ("rights to replay", state)
    assert said in finding.detail


def test_a_right_that_workers_need_to_hear_one_another_is_a_warning() -> None:
    finding, _ = further_rights(TopicNames(), [], {"persister-workers": READ})
    assert (finding.what, finding.state) == ("persister-workers", State.WARNING)
    assert finding.detail.endswith("grant Write on persister-workers")


async def test_a_topic_of_which_too_few_replicas_are_in_sync_takes_no_records() -> None:
    behind = FakeAdminClient()
    behind.topics = {"documents": 4, "letters": 1, "completed0": 1, "fine": 2}
    behind.all_settings = {"min.insync.replicas": "2"}
    behind.replicas = {"documents": (3, 1), "completed0": (2, 1), "letters": (3, 2), "fine": (2, 2)}
    kafka = admin.Admin(behind)
    needed, further = ["documents", "letters"], ["completed0", "fine", "missing"]
    first, second = [one async for one in examine_replicas(kafka, needed, further)]
    assert (first.what, first.state) == ("documents", State.WRONG)
    assert first.detail == (
        "4 partitions of 4 with fewer replicas in sync than min.insync.replicas=2 asks for: "
        "0 (1 of 3), 1 (1 of 3), 2 (1 of 3) and 1 more. Kafka refuses their records "
        "(NOT_ENOUGH_REPLICAS): start the brokers that are missing"
    )
    assert (second.what, second.state) == ("completed0", State.WARNING)
    assert "1 partition of 1" in second.detail


async def test_fewer_replicas_than_must_be_in_sync_are_taken_by_a_kafka_of_today() -> None:
    behind = FakeAdminClient()
    behind.topics = {"documents": 4, "letters": 1, "completed0": 1}
    behind.all_settings = {"min.insync.replicas": "3"}
    behind.replicas = {"letters": (2, 1)}
    kafka = admin.Admin(behind)
    found = [one async for one in examine_replicas(kafka, ["documents", "letters"], ["completed0"])]
    assert [(one.what, one.state) for one in found] == [
        ("documents", State.WARNING),
        ("letters", State.WRONG),
    ]
    assert "more than the replicas that its partitions have (1)" in found[0].detail
    assert found[0].detail.endswith("--add-config min.insync.replicas=1")
    assert "1 partition of 1" in found[1].detail


async def test_a_topic_whose_settings_may_not_be_seen_is_not_judged_by_its_replicas() -> None:
    behind = FakeAdminClient()
    behind.topics = {"documents": 1}
    behind.unreadable = TopicAuthorizationFailedError.errno
    kafka = admin.Admin(behind)
    assert [one async for one in examine_replicas(kafka, ["documents"], [])] == []
