"""Which of OpenWhisk's topics are read in which role, and the persister's own."""

import re

import pytest

from app.kafka.topics import TopicNames, own_topics
from app.settings import KafkaSettings, LogMode
from models.roles import TopicRole

SEPARATE, IN_RECORD = LogMode.SEPARATE, LogMode.IN_RECORD


@pytest.mark.parametrize(
    "topic,role",
    [
        ("completed0", TopicRole.COMPLETED),
        ("completed", TopicRole.COMPLETED),
        ("completedcontroller-a", TopicRole.COMPLETED),
        ("completedow-controller-0.owdev_2", TopicRole.COMPLETED),
        ("completed-others-too", TopicRole.COMPLETED),
        ("completed-others", TopicRole.OTHERS),
        ("completed-non-blocking", TopicRole.OTHERS),
        ("activations", None),
        ("uncompleted0", None),
        ("Completed0", None),
        ("health", None),
        ("invoker0", None),
        ("persister-documents", None),
    ],
)
@pytest.mark.parametrize("prefix", ["", "ow-prod-"])
def test_roles_when_logs_are_kept_elsewhere(
    topic: str, role: TopicRole | None, prefix: str
) -> None:
    assert TopicNames(prefix).role(prefix + topic, SEPARATE) is role


@pytest.mark.parametrize(
    "topic,role",
    [
        ("activations", TopicRole.ACTIVATIONS),
        ("activations2", None),
        ("completed0", None),
        ("completed-others", None),
    ],
)
def test_roles_when_logs_are_in_the_record(topic: str, role: TopicRole | None) -> None:
    assert TopicNames("").role(topic, IN_RECORD) is role


@pytest.mark.parametrize("topic", ["completed0", "other-completed0", "x-ow-completed0"])
def test_topics_of_another_deployment_are_not_read(topic: str) -> None:
    assert TopicNames("ow-").role(topic, SEPARATE) is None


def test_a_prefix_is_no_pattern() -> None:
    assert TopicNames("o.").role("ow-completed0", SEPARATE) is None


def test_topics_are_sorted_under_every_role() -> None:
    found = TopicNames("p-").by_role(
        ["p-completed1", "p-completed-others", "p-completed0", "completed2", "p-activations"],
        SEPARATE,
    )
    assert found == {
        TopicRole.COMPLETED: ("p-completed0", "p-completed1"),
        TopicRole.OTHERS: ("p-completed-others",),
        TopicRole.ACTIVATIONS: (),
    }


@pytest.mark.parametrize(
    "prefix,mode,topics,said",
    [
        (
            "ow-",
            SEPARATE,
            ["completed0"],
            'is "ow-" here: if these are OpenWhisk\'s, set it to empty',
        ),
        ("", SEPARATE, ["ow-completed0", "ow-completed-others"], 'is empty here: if .* to "ow-"$'),
        ("x", SEPARATE, ["a.activations", "b.completed0"], 'set it to "a." or "b."$'),
        ("x", SEPARATE, [f"{n}completed0" for n in "abcd"], "what stands before completed0"),
        ("", IN_RECORD, ["completed0"], "check PERSISTER_LOG_MODE"),
    ],
)
def test_what_would_read_topics_that_look_like_openwhisks_is_said(
    prefix: str, mode: LogMode, topics: list[str], said: str
) -> None:
    names = TopicNames(prefix)
    assert re.search(said, names.would_read(names.elsewhere(topics, mode)))


def test_own_topics_keep_the_largest_record_for_as_long_as_the_settings_say() -> None:
    settings = KafkaSettings(partitions=5, documents_retention=7200, dead_letters_retention=3600)
    documents, letters = own_topics(TopicNames("p-"), settings)
    assert (documents.name, documents.partitions) == ("p-persister-documents", 5)
    assert letters.name == "p-persister-dead-letters"
    assert documents.config["retention.ms"] == "7200000"
    assert letters.config["retention.ms"] == "3600000"
    for own in (documents, letters):
        assert int(own.config["max.message.bytes"]) > settings.max_record_bytes
        assert own.config["cleanup.policy"] == "delete"
        assert own.config["retention.bytes"] == "-1"
        assert own.config["message.timestamp.type"] == "LogAppendTime"


def test_own_topics_are_never_read_as_openwhisks() -> None:
    names = TopicNames("completed")
    for own in own_topics(names, KafkaSettings()):
        assert names.role(own.name, SEPARATE) is None


@pytest.mark.parametrize(
    "topic",
    [
        "completed-app-guard-changelog",
        "completed2-persister-documents",
        "completed2-persister-dead-letters",
        "completed2-persister-replays",
    ],
)
def test_topics_of_any_persister_are_never_read_as_openwhisks(topic: str) -> None:
    assert TopicNames("").role(topic, LogMode.SEPARATE) is None


def test_the_other_log_mode_s_topic_is_overlooked() -> None:
    names = TopicNames("ow.")
    existing = ["ow.activations", "ow.completed0", "completed-others"]
    assert names.overlooked(existing, LogMode.SEPARATE) == ("ow.activations",)
    assert names.overlooked(existing, LogMode.IN_RECORD) == ()
    assert names.overlooked(["ow.completed-others"], LogMode.IN_RECORD) == ("ow.completed-others",)


def test_where_none_is_read_those_are_named_that_look_as_if_they_should_be() -> None:
    existing = ["a.completed0", "b.activations", "health", "ow.activations-guard-changelog"]
    assert TopicNames("ow.").elsewhere(existing, LogMode.SEPARATE) == (
        "a.completed0",
        "b.activations",
    )
    assert TopicNames("a.").elsewhere(existing, LogMode.SEPARATE) == ()
    # Acknowledgements alone are not what this mode reads.
    assert TopicNames("a.").elsewhere(["a.completed0"], LogMode.IN_RECORD) == ("a.completed0",)
