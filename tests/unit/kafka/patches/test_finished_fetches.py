"""A fetch that ends in the very turn in which aiokafka's fetcher looks at its clock."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher

from app.kafka.patches.finished_fetches import notice_finished

BROKER = 1
LONG = 3600.0


class OneBroker(Fetcher):  # type: ignore[misc]  # aiokafka is not typed
    """aiokafka's, with a broker that answers at once, and with what to do decided here."""

    def __init__(self) -> None:
        self.asked = 0
        self.asked_again = asyncio.Event()
        loop = asyncio.get_running_loop()
        assignment = SimpleNamespace(active=True, unassign_future=loop.create_future())
        super().__init__(
            SimpleNamespace(_loop=loop, _metadata_max_age_ms=1000),
            SimpleNamespace(
                register_fetch_waiters=lambda _: None,
                subscription=SimpleNamespace(assignment=assignment),
            ),
        )

    def _get_actions_per_node(self, _: Any) -> Any:
        if BROKER in self._in_flight:
            return [], {}, LONG, False, []
        self.asked += 1
        if self.asked > 1:
            self.asked_again.set()
            return [], {}, LONG, False, []
        # The time is over in the next turn, in which the fetch is begun; in the one after that the
        # fetcher wakes up, right after the fetch has ended.
        return [(BROKER, "request")], {}, 0.0, False, []

    async def _proc_fetch_request(self, *_: Any) -> bool:
        await asyncio.sleep(0)
        return False


@pytest.fixture
async def fetcher() -> AsyncIterator[OneBroker]:
    made = OneBroker()
    yield made
    await made.close()


async def test_the_broker_is_asked_again_at_once(fetcher: OneBroker) -> None:
    notice_finished(fetcher)
    async with asyncio.timeout(10):
        await fetcher.asked_again.wait()


async def test_aiokafka_itself_sleeps_on(fetcher: OneBroker) -> None:
    """Fails when aiokafka has mended it; then the patch can go."""
    for _ in range(100):
        await asyncio.sleep(0)
    assert fetcher.asked == 1
    assert BROKER not in fetcher._in_flight
