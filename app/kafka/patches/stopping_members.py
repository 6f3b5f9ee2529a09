"""Keeps a worker that stops out of its group's rebalances, and its connections to one thread.

Faust 0.15.3 answers a rebalance that comes while it stops by closing aiokafka's client and its
coordinator (`App._on_rebalance_when_stopped`, `AIOKafkaConsumerThread.close`), in the event loop of
the main thread. Both belong to the loop of the consumer's thread, which runs all the while, and
then finds its consumer closed and does nothing more:

- A connection is closed while the other thread may be reading it. libuv takes no locks for that:
  `uv_read_stop` sets the function to NULL that is called with what was read.
- The coordinator waits for futures of another loop, which is an error that nobody sees. It does not
  leave the group, so the others wait for this member until its session has expired.
- The client's task that fetches metadata is cancelled. Who waits for metadata waits for ever: a
  join that is under way, and the stop that waits for it.

Not reported; of libuv, where a thread does it to itself: libuv/libuv#2399.

- Symptom: a worker that is stopped as it finds a new topic does not end by itself. One that stops
  while others join or leave is still a member of the group afterwards. And one in thousands ends by
  SIGSEGV, in a call to address 0, after the log line "Flush producer buffer...".
- Reproduction: create a topic that the worker reads, and send SIGTERM when it has found it.
- Mend: `close` does nothing. The thread stops its consumer itself, a moment later, and that leaves
  the group. Until then it does not join again, nor give up its partitions: what it still finishes
  is committed, and aiokafka would wait for the whole group before it leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Join = Callable[..., Awaitable[Any]]


def join_no_more(coordinator: Any, stopping: Callable[[], bool]) -> None:
    """Have an aiokafka `GroupCoordinator` wait until it is closed instead of joining again.

    Args:
        coordinator: of the group; it has not joined yet.
        stopping: whether the worker stops; asked before each step of a join.
    """

    def unless_stopping(join: Join) -> Join:
        async def join_unless_stopping(*args: Any) -> Any:
            if not stopping():
                return await join(*args)
            await asyncio.wait([coordinator._closing])  # noqa: SLF001
            return None  # as if the join had failed

        return join_unless_stopping

    coordinator.ensure_active_group = unless_stopping(coordinator.ensure_active_group)
    coordinator._do_rejoin_group = unless_stopping(coordinator._do_rejoin_group)  # noqa: SLF001
