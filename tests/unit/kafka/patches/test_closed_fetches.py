"""Closing aiokafka's fetcher just after a fetch has failed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import NodeNotReadyError

from app.kafka.patches.closed_fetches import close_all
from tests.fakes.time import until

LONG = 3600.0


class NoBroker(Fetcher):  # type: ignore[misc]  # aiokafka is not typed
    """aiokafka's, with a client that reaches no broker."""

    def __init__(self) -> None:
        self.failed = False
        loop = asyncio.get_running_loop()
        assignment = SimpleNamespace(active=True, unassign_future=loop.create_future())
        super().__init__(
            SimpleNamespace(_loop=loop, _metadata_max_age_ms=1000, send=self._send),
            SimpleNamespace(
                register_fetch_waiters=lambda _: None,
                subscription=SimpleNamespace(assignment=assignment),
            ),
            retry_backoff_ms=int(LONG * 1000),
        )

    async def _send(self, *_: Any) -> None:
        self.failed = True
        raise NodeNotReadyError

    def _get_actions_per_node(self, _: Any) -> Any:
        asked = [] if self._in_flight else [(1, SimpleNamespace(topics=[]))]
        return asked, {}, LONG, False, []


async def test_a_fetch_that_waits_after_it_failed_keeps_no_fetcher_from_closing() -> None:
    fetcher = NoBroker()
    close_all(fetcher)
    await until(lambda: fetcher.failed)
    await fetcher.close()
    assert fetcher._pending_tasks == set()
    assert fetcher._fetch_task.done()


async def test_aiokafka_itself_takes_it_for_a_cancellation_of_who_closes() -> None:
    """Fails when aiokafka has mended it; then the patch can go."""
    fetcher = NoBroker()
    await until(lambda: fetcher.failed)
    with pytest.raises(asyncio.CancelledError):
        await fetcher.close()
