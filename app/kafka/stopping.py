"""Stops clients of Kafka, whatever state they are in."""

import asyncio
import logging
from typing import Any

logger = logging.getLogger(__name__)


async def stop_consumer(consumer: Any, seconds: float) -> None:
    """Disconnect an `AIOKafkaConsumer`; returns after `seconds` at the latest, and never raises.

    aiokafka 0.14 may hang in `stop` if it has just taken over an assignment. And if a fetch has
    just failed, `stop` raises the `CancelledError` of its own task, and leaves connections open:
    whoever waits would take it for their own cancellation.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        await asyncio.wait([stopping], timeout=seconds)
    finally:
        stopping.cancel()
    await asyncio.wait([stopping], timeout=seconds)
    ended = stopping.done() and not stopping.cancelled()
    if ended and stopping.exception() is None:
        return
    if ended:
        logger.debug("A consumer did not stop as it should", exc_info=stopping.exception())
    closing = asyncio.ensure_future(consumer._client.close())  # noqa: SLF001 - has no public way
    await asyncio.wait([closing], timeout=seconds)
    closing.cancel()
