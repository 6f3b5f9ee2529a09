import pytest

from app.dead_letters.destination import Destination, destination
from app.kafka.producer import partition_of
from app.kafka.topics import TopicNames
from app.settings import LogMode
from tests.unit.dead_letters.letters import content

NAMES = TopicNames("p-")
SEPARATE, IN_RECORD = LogMode.SEPARATE, LogMode.IN_RECORD


@pytest.mark.parametrize(
    "topic, log_mode, existing, expected",
    [
        ("p-completed0", SEPARATE, {"p-completed0": 1, "p-completed-others": 1}, "p-completed0"),
        ("p-completed0", SEPARATE, {"p-completed-others": 1}, "p-completed-others"),
        ("p-completed0", SEPARATE, {"p-completed-non-blocking": 1}, "p-completed-non-blocking"),
        ("p-completed0", IN_RECORD, {"p-completed0": 1, "p-activations": 1}, "p-activations"),
        ("p-activations", IN_RECORD, {"p-activations": 1}, "p-activations"),
        ("completed0", SEPARATE, {"completed0": 1, "p-completed-others": 1}, "p-completed-others"),
    ],
)
def test_it_goes_where_it_came_from_or_to_the_stores_topic_where_that_is_not_read(
    topic: str, log_mode: LogMode, existing: dict[str, int], expected: str
) -> None:
    found = destination(content(topic=topic), NAMES, log_mode, existing)

    assert found == Destination(expected, 0)


def test_the_partition_stays_while_there_is_one() -> None:
    letter = content(topic="p-completed0", partition=5)

    assert destination(letter, NAMES, SEPARATE, {"p-completed0": 8}) == ("p-completed0", 5)
    assert destination(letter, NAMES, SEPARATE, {"p-completed0": 3}) == ("p-completed0", 2)


@pytest.mark.parametrize("key", [b"0123456789abcdef0123456789abcdef", None])
def test_a_document_goes_to_the_partition_of_its_key(key: bytes | None) -> None:
    letter = content(topic=NAMES.documents, partition=3, key=key)

    found = destination(letter, NAMES, SEPARATE, {NAMES.documents: 8})

    assert found == Destination(NAMES.documents, partition_of(key, 8))


def test_a_document_never_goes_to_another_topic() -> None:
    letter = content(topic=NAMES.documents)

    assert destination(letter, NAMES, SEPARATE, {"p-completed-others": 1}) is None


def test_without_any_topic_there_is_none() -> None:
    assert destination(content(topic="p-completed0"), NAMES, SEPARATE, {"other": 1}) is None
