import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from app.kafka.access import not_written, why_refused
from app.settings import KafkaSettings


@pytest.mark.parametrize(
    "error, advice",
    [
        (TopicAuthorizationFailedError("docs"), "may not write to topic docs: grant Write on it"),
        (ClusterAuthorizationFailedError(), "grant IdempotentWrite on the cluster"),
        (InvalidTimestampError(), "InvalidTimestampError"),
    ],
)
def test_a_refusal_says_what_to_grant_or_where_to_look(error: KafkaError, advice: str) -> None:
    assert advice in why_refused("docs", error, KafkaSettings())


def test_an_entry_that_is_not_written_is_told_of_in_the_same_words() -> None:
    settings = KafkaSettings()
    assert "grant Write on it" in not_written("t", TopicAuthorizationFailedError("t"), settings)
    timed_out = not_written("t", KafkaTimeoutError("late"), settings)
    assert timed_out == "Kafka does not take records of topic t (KafkaTimeoutError: late)"
    assert "closed" in not_written("t", OSError("closed"), settings)
