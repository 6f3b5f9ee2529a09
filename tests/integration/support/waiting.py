"""Waiting for a condition with a deadline, and what workers say of themselves."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka.errors import KafkaError

from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.generated.outputs import check
from dev.process import services
from dev.starved import Deadline, ThisProcess
from dev.worker import Worker

POLL = 0.1
"""Seconds between two looks at something outside this process."""

PATIENCE = 90.0
"""Seconds after which something is said not to happen at all: many times what it takes alone on
the machine, since tests run side by side. How long it takes is not what these tests are about."""

Line = tuple[str, str, str]
"""Step, outcome, reason (empty where there is none)."""


async def until(
    condition: Callable[[], Awaitable[object]], what: str, *, within: float = PATIENCE
) -> None:
    """Return once the condition holds; it says why not by returning something false.

    Args:
        condition: Asked again and again.
        what: Does not happen, for people.
        within: Seconds, without those in which there was no core for the services of this test.
    """
    deadline = Deadline(within, lambda: [ThisProcess(), *services()])
    while not await condition():
        assert deadline.left() > 0, f"not within {within:g} s: {what}"
        await asyncio.sleep(POLL)


async def status(worker: Worker) -> dict[str, Any]:
    """`GET /status`."""
    found = await asyncio.to_thread(worker.status)
    check("status", json.dumps(found))
    return found


async def outcomes(*workers: Worker) -> Counter[Line]:
    """The sums over the workers, after checking that each adds up to what it consumed."""
    sums: Counter[Line] = Counter()
    for worker in workers:
        reported = (await status(worker))["outcomes"]
        assert reported["lost_to_retention"] == {}
        for step in ("route", "store"):
            lines = Counter(dict(_lines(step, reported[step])))
            assert lines.total() == reported[step]["consumed"], reported
            sums += lines
    return sums


def _lines(step: str, reported: dict[str, Any]) -> Iterable[tuple[Line, int]]:
    for outcome, count in reported.items():
        if isinstance(count, dict):
            yield from (((step, outcome, reason), number) for reason, number in count.items())
        elif outcome != "consumed":
            yield (step, outcome, ""), count


async def drained(admin: Admin, prefix: str, *topics: str, within: float = PATIENCE) -> None:
    """Return once the group has committed everything: these topics, then the internal one."""
    group = f"{prefix}persister"
    for topic in (*topics, f"{prefix}persister-documents"):

        async def committed(topic: str = topic) -> bool:
            ends = {n: end for n, end in (await admin.end_offsets(topic)).items() if end}
            done = await admin.committed(group, topic)
            return all(done.get(number) == end for number, end in ends.items())

        await until(committed, f"everything of {topic} is committed", within=within)


async def coordinated(url: str) -> None:
    """Return once groups have a coordinator: a new broker has none for the first who ask."""
    async with asyncio.timeout(60), connect_admin(url) as connected:
        while True:
            try:
                await connected.committed("no-such-group", "no-such-topic")
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(0.2)
            else:
                return
