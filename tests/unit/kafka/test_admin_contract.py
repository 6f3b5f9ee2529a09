"""The suite that the fake admin client has in common with a real one."""

import pytest

from app.kafka.admin import Admin
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
