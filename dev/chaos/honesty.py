"""For how long a worker has said that it is ready while its work stood still."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dev.chaos.crew import Crew, status
from dev.chaos.movement import Movement, Position, name

INTERVAL = 1.0
"""Seconds between two questions to the workers."""

BOUND = 30.0
"""Seconds for which a worker may say that it is ready while its work stands still."""


@dataclass(frozen=True)
class Silence:
    """A worker that said that it was ready while a partition of its stood still.

    Attributes:
        seconds: for how long.
        where: which worker and partition, and during what.
    """

    seconds: float = 0.0
    where: str = ""


class Honesty:
    """Compares what workers say with what is committed. Pure; what is known is handed in.

    A partition with something unread whose committed offset does not move stands still. It is the
    concern of the worker that reads it, and of every worker while nobody does.
    """

    def __init__(self) -> None:
        self.longest = Silence()
        self._since: dict[tuple[int, Position], float] = {}

    def observe(
        self,
        now: float,
        standing: Mapping[Position, float],
        said: Mapping[int, Mapping[str, Any]],
        during: str = "",
    ) -> None:
        """Note one moment.

        Args:
            now: seconds, monotonic.
            standing: for how long each partition with something unread has not moved.
            said: by worker, what its `/status` answered; empty of one that did not answer.
            during: what is going on, for people.
        """
        lying = {}
        for at, stands in standing.items():
            for number in _concerned(at, said):
                if said[number].get("ready"):
                    began = self._since.get((number, at), now)
                    lying[number, at] = max(began, now - stands)
        self._since = lying
        for (number, at), began in lying.items():
            if now - began > self.longest.seconds:
                where = f"worker {number}, {name(at)}, {during}"
                self.longest = Silence(now - began, where)


def _concerned(at: Position, said: Mapping[int, Mapping[str, Any]]) -> Iterable[int]:
    """The workers that read a partition, by their own words; all of them where nobody does."""
    topic, partition = at
    known = {
        number: answer.get("topics", {}).get(topic, {}).get(str(partition), {})
        for number, answer in said.items()
    }
    readers = [number for number, one in known.items() if one.get("mine")]
    return readers or known


class Watching:
    """Asks the workers of a stage until it is stopped.

    Args:
        crew: the workers.
        movement: what is committed.
        during: what is going on.
    """

    def __init__(self, crew: Crew, movement: Movement, during: Callable[[], str]) -> None:
        self.honesty = Honesty()
        self._crew = crew
        self._movement = movement
        self._during = during
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            members = list(self._crew.wanted)
            answers = await asyncio.gather(*(status(member.worker) for member in members))
            now = time.monotonic()
            said = {one.number: answer for one, answer in zip(members, answers, strict=True)}
            self.honesty.observe(now, self._movement.stands(now), said, self._during())
            await asyncio.sleep(INTERVAL)
