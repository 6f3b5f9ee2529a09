import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from app.kafka.access import why_refused
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
