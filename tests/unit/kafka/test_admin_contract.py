"""The suite that the fake admin client has in common with a real one."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from app.kafka.admin import UNCLEAN, Admin, UnreadableSettingsError
from app.kafka.metadata import Right
from tests.contract.administering import TestAdmin, Until  # noqa: F401 - the suite
from tests.fakes.kafka_admin import NOT_TOLD, FakeAdminClient


@pytest.fixture
def kafka() -> Admin:
    client = FakeAdminClient()
    client.brokers = 1
    return Admin(client)


@pytest.fixture
def prefix() -> str:
    return "t-"


@pytest.fixture
def until() -> Until:
    async def holds(condition: object) -> None:
        assert callable(condition)
        assert await condition()

    return holds


@pytest.mark.parametrize("value", [None, "many", "", "\u0661", "9" * 30])
async def test_a_setting_that_is_not_told_is_none_that_can_be_read(value: str | None) -> None:
    client = FakeAdminClient()
    client.topics["topic"] = 1
    client.all_settings |= {"retention.ms": value}  # type: ignore[dict-item]
    with pytest.raises(UnreadableSettingsError, match=r"topic: .*its retention\.ms"):
        await Admin(client).topic_settings(["topic"], ["retention.ms"])


async def test_a_setting_that_not_all_have_may_be_missing() -> None:
    client = FakeAdminClient()
    client.topics["topic"] = 1
    assert await Admin(client).topic_settings(["topic"], [UNCLEAN]) == {"topic": {}}
    with pytest.raises(UnreadableSettingsError, match=r"does not tell its segment\.bytes"):
        await Admin(client).topic_settings(["topic"], ["segment.bytes"])


@pytest.mark.parametrize(
    "error,right", [(TopicAuthorizationFailedError, True), (UnknownTopicOrPartitionError, False)]
)
async def test_a_missing_right_is_named(error: type[KafkaError], *, right: bool) -> None:
    client = FakeAdminClient()
    client.unreadable = error.errno
    with pytest.raises(UnreadableSettingsError) as raised:
        await Admin(client).topic_settings(["topic"], ["retention.ms"])
    assert ("grant DescribeConfigs" in str(raised.value)) is right


async def test_rights_are_those_that_a_broker_tells() -> None:
    client = FakeAdminClient()
    client.topics |= {"told": 1, "hidden": 1, "nonsense": 1}
    client.rights |= {"told": 1 << 4 | 1 << 8, "hidden": NOT_TOLD, "nonsense": 1 << 3}
    asked = [*client.topics, "none"]
    assert await Admin(client).rights(asked) == {"told": {Right.WRITE, Right.DESCRIBE}}
    client.old = True
    assert await Admin(client).rights(asked) == {}


async def test_what_cannot_be_read_of_a_group_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> Any:
        return SimpleNamespace(topics=[], error_code=TopicAuthorizationFailedError.errno)

    client = FakeAdminClient()
    monkeypatch.setattr(client, "_send_request", refuse)
    with pytest.raises(TopicAuthorizationFailedError, match="what group g has committed"):
        await Admin(client).committed("g")
