"""Metadata that somebody waits for are asked for, whatever update is under way."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient

from app.kafka.patches.lost_wakeups import wake_always, waking

OLD_AFTER_MS = 50


class Client(AIOKafkaClient):  # type: ignore[misc]
    """aiokafka's, with a Kafka behind it whose answers wait to be let go."""

    def __init__(self) -> None:
        super().__init__(metadata_max_age_ms=OLD_AFTER_MS)
        self.asked: list[set[str]] = []
        self.answer = asyncio.Event()

    async def _metadata_update(self, _cluster: Any, topics: Any) -> bool:
        self.asked.append(set(topics))
        await self.answer.wait()
        # Nothing gets old from now on.
        self._metadata_max_age_ms = 3_600_000
        return True


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    original: Any = inspect.unwrap(AIOKafkaClient.force_metadata_update)
    monkeypatch.setattr(AIOKafkaClient, "force_metadata_update", waking(original))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    task = asyncio.create_task(made._md_synchronizer())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_a_topic_that_comes_during_an_update_that_nobody_asked_for_is_asked_for(
    client: Client,
) -> None:
    async with asyncio.timeout(10):
        while not client.asked:  # noqa: ASYNC110 - the metadata get old by themselves
            await asyncio.sleep(0.01)
        updated = client.set_topics(["new"])
        client.answer.set()
        assert await updated
    assert client.asked == [set(), {"new"}]


async def test_what_is_asked_for_when_nothing_is_under_way_is_asked_for_once(
    client: Client,
) -> None:
    client._metadata_max_age_ms = 3_600_000
    client.answer.set()
    async with asyncio.timeout(10):
        assert await client.set_topics(["new"])
        await asyncio.sleep(0)
    assert client.asked == [{"new"}]


def test_a_client_is_mended_once() -> None:
    wake_always()
    mended = AIOKafkaClient.force_metadata_update
    wake_always()
    assert AIOKafkaClient.force_metadata_update is mended
