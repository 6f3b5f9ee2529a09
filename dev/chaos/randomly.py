"""Injects random faults of all kinds for some minutes, under traffic that comes and goes."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from dev.chaos.fault import Fault, Result
from dev.chaos.honesty import Silence
from dev.chaos.play import Play
from dev.chaos.stage import DEFAULTS, GIVE_UP, USUAL, Stage

STAGE_MINUTES = 9.0
"""Of one stage: each ends with the whole check of what is stored."""

FLOWS, EBBS = (5.0, 40.0), (2.0, 25.0)
"""Seconds, at least and at most, for which traffic comes, and does not."""

DEFAULTS_EVERY = 3
"""Every so manieth stage is at a broker as Kafka comes."""


@dataclass
class Figures:
    """What a random run has seen.

    Attributes:
        faults: how many of each were inflicted.
        records: that Kafka has acknowledged.
        documents: that had to be in the database.
        lost: of these, how many were not.
        doubled: documents that were written more than once, or listed twice.
        restarts: how often a supervisor started a worker again.
        kills: how many of them followed a SIGKILL.
        slowest: seconds that it took after a fault until all partitions went on.
        silence: the longest time for which a worker was ready while its work stood still.
        waited: the same, while it said why: the database's pace, a breaker, a diagnosis.
        minutes: how long it all took.
    """

    faults: Counter[str] = field(default_factory=Counter)
    records: int = 0
    documents: int = 0
    lost: int = 0
    doubled: int = 0
    restarts: int = 0
    kills: int = 0
    slowest: float = 0.0
    silence: Silence = field(default_factory=Silence)
    waited: Silence = field(default_factory=Silence)
    minutes: float = 0.0

    def lines(self) -> list[str]:
        """For people."""
        inflicted = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return [
            f"minutes               {self.minutes:.0f}",
            f"faults                {self.faults.total()}: {inflicted}",
            f"records               {self.records}",
            f"documents             {self.documents}",
            f"lost                  {self.lost}",
            f"doubled               {self.doubled}",
            f"restarts of workers   {self.restarts}, of which after SIGKILL {self.kills}",
            f"slowest recovery      {self.slowest:.1f} s",
            f"ready standing still  {self.silence.seconds:.1f} s ({self.silence.where})",
            f"ready, saying why     {self.waited.seconds:.1f} s ({self.waited.where})",
        ]


class RandomPlay:
    """One run.

    Args:
        play: inflicts faults, and sets stages.
        faults: to choose from.
        seed: of every choice.
        say: tells a person.
    """

    def __init__(
        self, play: Play, faults: Sequence[Fault], *, seed: int, say: Callable[[str], None]
    ) -> None:
        self.figures = Figures()
        self.findings: list[str] = []
        self._play = play
        self._faults = [fault for fault in faults if fault.anytime]
        self._random = Random(seed)  # noqa: S311 - not a secret
        self._seed = seed
        self._say = say

    async def run(self, minutes: float) -> None:
        """Go on for so many minutes, and until what was begun is finished and checked."""
        began, number = time.monotonic(), 0
        while time.monotonic() - began < minutes * 60:
            left = minutes - (time.monotonic() - began) / 60
            await self._stage(number, min(STAGE_MINUTES, left))
            self.figures.minutes = (time.monotonic() - began) / 60
            for line in self.figures.lines():
                self._say(f"    {line}")
            number += 1

    async def _stage(self, number: int, minutes: float) -> None:
        defaults = number % DEFAULTS_EVERY == DEFAULTS_EVERY - 1
        name = f"random-{number}{'-defaults' if defaults else ''}"
        self._say(f"stage {name}")
        # After minutes of a fault a chunk is large, and stored at the database's pace. That nobody
        # keeps silent about it is what counts here.
        surrounding = replace(DEFAULTS if defaults else USUAL, patience=GIVE_UP)
        stage = await self._play.set_stage(
            name, self._seed + number, surrounding=surrounding, clock=True
        )
        try:
            await stage.open()
            async with ebbing(stage, self._random):
                await self._inflict(stage, time.monotonic() + minutes * 60)
            stage.during = "the end"
            books = await stage.close()
        finally:
            await stage.clear()
        self._note(stage)
        self.figures.records += stage.flow.records
        self.figures.documents += len(books.ledger)
        for finding in stage.findings:
            self._found(f"stage {name}: {finding}")

    async def _inflict(self, stage: Stage, until: float) -> None:
        stage.alone = False
        while time.monotonic() < until:
            fault = self._next()
            await asyncio.sleep(self._random.uniform(0, 5))
            result = await self._play.inflict(stage, fault, 1)
            self._count(result)
            if self._random.random() < 0.5:  # noqa: PLR2004 - one half
                await stage.all_is_stored()

    def _next(self) -> Fault:
        """First a kind, so that one with many faults does not push out the others."""
        kind = self._random.choice(sorted({fault.kind for fault in self._faults}))
        return self._random.choice([fault for fault in self._faults if fault.kind is kind])

    def _count(self, result: Result) -> None:
        if result.rounds:
            self.figures.faults[result.fault.kind] += 1
        took = [seconds for seconds in result.recoveries if seconds is not None]
        self.figures.slowest = max([self.figures.slowest, *took])
        for finding in result.findings:
            self._found(f"{result.fault.name}: {finding}")

    def _note(self, stage: Stage) -> None:
        figures, honesty = self.figures, stage.watching.honesty
        figures.restarts += stage.crew.restarts
        figures.kills += stage.crew.kills
        figures.lost += stage.lost
        figures.doubled += stage.doubled
        figures.silence = max(figures.silence, honesty.longest)
        figures.waited = max(figures.waited, honesty.waited)

    def _found(self, finding: str) -> None:
        self.findings.append(finding)
        self._say(f"  WRONG {finding}")


@contextlib.asynccontextmanager
async def ebbing(stage: Stage, random: Random) -> AsyncIterator[None]:
    """Traffic comes and goes in the block."""

    async def tide() -> None:
        while True:
            await asyncio.sleep(random.uniform(*FLOWS))
            stage.flow.ebb(ebbing=True)
            await asyncio.sleep(random.uniform(*EBBS))
            stage.flow.ebb(ebbing=False)

    task = asyncio.create_task(tide())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        stage.flow.ebb(ebbing=False)
