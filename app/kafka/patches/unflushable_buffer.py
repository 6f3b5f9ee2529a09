"""Has the producer's buffer send what it holds, however the worker ends.

Faust puts the entries of tables into a buffer, from which a task takes them. After a crash this
task takes one more, and to flush the buffer is an error then, as it is while the buffer stops.

Seen in faust-streaming 0.15.3. Not reported.

- Symptom: "Error while stopping child" with the traceback of `RuntimeError: Cannot flush: Producer
  not Running`, as a worker ends for a reason that it has logged. What is left of its services is
  not stopped: it does not leave the group, and its entries are lost.
- Reproduction: give a topic more partitions that must not have more, while records come.
- Mend: once the task has ended, `flush` takes what is there itself. Not before: whoever flushes may
  give up, as a commit does while Kafka is silent, and an entry in hand would be lost. What comes
  after the producer has disconnected is nobody's: for entries of the guard's table, the database's
  conflict answers catch what it misses.
"""

import asyncio
from contextlib import suppress
from typing import Any

from faust.transport.producer import ProducerBuffer

_LOOK_SECONDS = 0.1
"""Between looks whether the task still runs, while it sends nothing; as in Faust."""


class Buffer(ProducerBuffer):
    """Faust's buffer of a producer, which can be flushed in any state."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._turn = asyncio.Lock()

    async def flush(self) -> None:
        """Wait until the producer has everything that is held, in order."""
        while self.state == "running" and self.size:
            self.message_sent.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self.message_sent.wait()
        while not self.pending.empty():
            await self._send_pending(self.pending.get_nowait())
        async with self._turn:  # the task may have one in hand
            pass

    async def on_stop(self) -> None:
        """Do nothing: the producer has disconnected."""

    async def _send_pending(self, fut: Any) -> None:
        async with self._turn:
            await super()._send_pending(fut)
