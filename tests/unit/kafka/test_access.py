import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from app.kafka.access import AccessError, check_own, check_rights, not_written, why_refused
from app.kafka.admin import Admin
from app.kafka.topics import TopicSpec
from app.settings import KafkaSettings
from tests.fakes.kafka_admin import NOT_TOLD, FakeAdminClient

DESCRIBE, READ, WRITE = (1 << operation for operation in (8, 3, 4))
USER = KafkaSettings(
    security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_user="u", sasl_password="p"
)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeAdminClient:
    behind = FakeAdminClient()
    behind.topics |= {"a": 1, "b": 1, "c": 1}
    monkeypatch.setattr("app.kafka.admin.AIOKafkaAdminClient", lambda **_: behind)
    return behind


async def test_all_missing_rights_are_named_at_once(kafka: FakeAdminClient) -> None:
    kafka.rights |= {"a": DESCRIBE | WRITE, "b": DESCRIBE, "c": DESCRIBE | READ | WRITE}
    with pytest.raises(AccessError) as raised:
        await check_rights(USER, [TopicSpec(name, 1, {}) for name in ("a", "b", "c", "missing")])
    said = "Kafka's user 'u' lacks rights to topics: grant Read on a and Read and Write on b"
    assert str(raised.value) == said


async def test_what_kafka_does_not_tell_is_no_missing_right(kafka: FakeAdminClient) -> None:
    kafka.rights |= {"a": NOT_TOLD}
    await check_own(Admin(kafka), USER, ["a", "missing"])
    kafka.old, kafka.rights["a"] = True, DESCRIBE
    await check_own(Admin(kafka), USER, ["a"])


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
