"""Records that keep coming while something happens."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence

from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records

BATCH = 40
PAUSE = 0.1


@contextlib.asynccontextmanager
async def load(kafka: Producer, topics: Sequence[str], records: Records) -> AsyncIterator[None]:
    """Write some 400 records a second, to one topic after the other, until the block ends."""
    ended = asyncio.Event()

    async def write() -> None:
        for topic in itertools.cycle(topics):
            await kafka.records(topic, records.many(BATCH))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), PAUSE)
            if ended.is_set():
                return

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        ended.set()
        await task
