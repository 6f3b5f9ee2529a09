"""Measures for how long a worker says that it is ready while its work stands still."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dev.chaos.background import Background
from dev.chaos.crew import Crew, status
from dev.chaos.movement import Movement, Position, name

INTERVAL = 1.0
"""Seconds between two questions to the workers."""

BOUND = 30.0
"""Seconds for which a worker may say that it is ready while its work stands still."""


@dataclass(frozen=True, order=True)
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

    Attributes:
        longest: the longest time for which one was ready, and named no reason for it to wait.
        waited: the same of those that did name one in their `/status`: the database's pace, a
            breaker, documents under diagnosis.
    """

    def __init__(self) -> None:
        self.longest = Silence()
        self.waited = Silence()
        self._since: dict[tuple[int, Position, str], float] = {}

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
        ready: dict[tuple[int, Position, str], float] = {}
        for at, stands in standing.items():
            for number in _concerned(at, said):
                if said[number].get("ready"):
                    key = number, at, _why(at, said[number])
                    ready[key] = max(self._since.get(key, now), now - stands)
        self._since = ready
        for (number, at, why), began in ready.items():
            silence = Silence(now - began, f"worker {number}, {name(at)}, {during}")
            if why:
                self.waited = max(self.waited, replace(silence, where=f"{silence.where}: {why}"))
            else:
                self.longest = max(self.longest, silence)


def _why(at: Position, answer: Mapping[str, Any]) -> str:
    """Why the partition waits, by the words of a worker; numbers in it change all the time."""
    found = _partition(at, answer)
    return re.sub(r"\d+", "…", found["why"]) if found.get("work") == "waiting" else ""


def _partition(at: Position, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    topic, number = at
    found: Mapping[str, Any] = answer.get("topics", {}).get(topic, {}).get(str(number), {})
    return found


def _concerned(at: Position, said: Mapping[int, Mapping[str, Any]]) -> Iterable[int]:
    """The workers that read a partition, by their own words; all of them where nobody does."""
    readers = [number for number, answer in said.items() if _partition(at, answer).get("mine")]
    return readers or said


class Watching(Background):
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

    async def _run(self) -> None:
        while True:
            members = list(self._crew.wanted)
            answers = await asyncio.gather(*(status(member.worker) for member in members))
            now = time.monotonic()
            said = {one.number: answer for one, answer in zip(members, answers, strict=True)}
            self.honesty.observe(now, self._movement.stands(now), said, self._during())
            await asyncio.sleep(INTERVAL)
