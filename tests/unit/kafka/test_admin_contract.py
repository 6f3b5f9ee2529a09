"""The suite that the fake admin client has in common with a real one."""

import pytest

from app.kafka.admin import UNCLEAN, Admin, UnreadableSettingsError
from tests.contract.administering import TestAdmin, Until  # noqa: F401 - the suite
from tests.fakes.kafka_admin import FakeAdminClient


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
