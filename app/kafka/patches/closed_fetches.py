"""Closes a fetcher of which a fetch has just failed.

When a fetch fails, aiokafka 0.14's task for it waits for a moment (`retry_backoff`) outside the
handler that takes its cancellation. `Fetcher.close` cancels each task and waits for it without
taking the cancellation either, as the fetcher's routine does: so it raises `CancelledError`, as if
whoever closes had been cancelled. The client is not closed then, and the thread of Faust's consumer
ends without a word to the main thread, which waits for it.

Not reported.

- Symptom: a worker that is stopped at the same moment as Kafka logs a long traceback and does not
  end by itself, although nothing is left to do.
- Reproduction: `tests/unit/kafka/patches/test_closed_fetches.py` closes a fetcher while a fetch
  waits that has failed.
- Mend: the tasks are cancelled and have ended before the fetcher is closed.
"""

import asyncio
from typing import Any


def close_all(fetcher: Any) -> None:
    """Make an aiokafka `Fetcher` close whatever its fetches do."""
    close = fetcher.close

    async def close_fetches_first() -> None:
        fetcher._fetch_task.cancel()  # noqa: SLF001 - it begins fetches
        await asyncio.wait([fetcher._fetch_task])  # noqa: SLF001
        for task in fetcher._pending_tasks:  # noqa: SLF001
            task.cancel()
        await asyncio.gather(*fetcher._pending_tasks, return_exceptions=True)  # noqa: SLF001
        fetcher._pending_tasks.clear()  # noqa: SLF001
        await close()

    fetcher.close = close_fetches_first
