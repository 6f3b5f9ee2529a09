"""The suite that proves the fake admin client, and what only a real Kafka shows."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaConnectionError,
)

from app.kafka.admin import Admin, open_admin
from app.settings import KafkaSettings
from dev.admin import Admin as Topics
from tests.contract.administering import TestAdmin, Until  # noqa: F401 - the suite
from tests.integration.support.waiting import until as wait_until


@pytest.fixture
async def kafka(kafka_url: str, admin: Topics) -> AsyncIterator[Admin]:
    del admin  # deletes the topics of this test
    async with open_admin(KafkaSettings(url=kafka_url)) as connected:
        yield connected


@pytest.fixture
def until() -> Until:
    return lambda condition: wait_until(condition, "brokers know of the change")


async def test_a_group_that_has_committed_nothing_has_no_offsets(kafka: Admin, prefix: str) -> None:
    # A new broker has no coordinator yet for the first who ask.
    async with asyncio.timeout(20):
        while True:
            try:
                assert await kafka.committed(f"{prefix}group") == {}
            except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KafkaConnectionError):
        await Admin.connect(KafkaSettings(url="kafka://127.0.0.1:1"))
