"""Runs faults, with a stage for each kind."""

import random as randoms
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from dev.chaos.clock import Clock, library
from dev.chaos.fault import Fault, Kind, NotProvoked, Result
from dev.chaos.stage import DEFAULTS, GIVE_UP, USUAL, Stage, Surrounding, Surroundings


class Play:
    """One run.

    Args:
        around: what all stages share.
        seed: of everything random.
        rate: events per second.
        say: tells a person.
    """

    def __init__(
        self, around: Surroundings, *, seed: int, rate: float, say: Callable[[str], None]
    ) -> None:
        self._around = around
        self._seed = seed
        self._rate = rate
        self._say = say
        self.kills = 0
        self.events = 0
        self.documents = 0

    async def run(self, faults: Sequence[tuple[Fault, int]], *, together: bool) -> list[Result]:
        """Inject each fault for its number of rounds.

        Args:
            faults: with their rounds.
            together: all on one stage, instead of one stage for each kind.
        """
        results: list[Result] = []
        groups = groupby(faults, key=lambda each: "all" if together else each[0].kind.value)
        for number, (name, group) in enumerate(groups):
            results += await self._stage(name, list(group), self._seed + number)
        return results

    async def _stage(self, name: str, faults: list[tuple[Fault, int]], seed: int) -> list[Result]:
        self._say(f"stage {name}")
        defaults = any(fault.kind is Kind.DEFAULTS for fault, _ in faults)
        opened = await self.set_stage(
            name,
            seed,
            surrounding=DEFAULTS if defaults else USUAL,
            clock=any(fault.kind is Kind.CLOCK for fault, _ in faults),
        )
        try:
            began = time.monotonic()
            await opened.open()
            beginning = list(opened.findings)
            opened.findings.clear()
            self._say(f"  records flow after {time.monotonic() - began:.1f} s")
            results = [await self.inflict(opened, fault, rounds) for fault, rounds in faults]
            began = time.monotonic()
            books = await opened.close()
            self.kills += opened.crew.kills
            self.events += books.events
            self.documents += len(books.ledger)
            silence = opened.watching.honesty.longest
            self._say(
                f"  {books.events} events, {len(books.ledger)} documents, checked in "
                f"{time.monotonic() - began:.1f} s; ready without progress for at most "
                f"{silence.seconds:.1f} s ({silence.where})"
            )
        finally:
            await opened.clear()
        # Nobody can tell which of the stage's faults it was.
        results[-1].findings += [f"stage {name}: {finding}" for finding in beginning]
        results[-1].findings += [f"stage {name}: {finding}" for finding in opened.findings]
        for finding in (*beginning, *opened.findings):
            self._say(f"  WRONG {finding}")
        return results

    async def set_stage(
        self, name: str, seed: int, *, surrounding: Surrounding, clock: bool
    ) -> Stage:
        """A stage that is not opened yet; at another broker, where it has to be another one."""
        around = self._around
        if around.kafka.broker_settings != surrounding.broker:
            await around.kafka.stop()
            await around.kafka.empty(surrounding.broker)
        unique = f"chaos{randoms.SystemRandom().getrandbits(24):06x}-{name}"
        return Stage(
            around,
            unique,
            seed=seed,
            rate=self._rate,
            say=self._say,
            clock=_clock(around.folder / f"{unique}.time") if clock else None,
            surrounding=surrounding,
        )

    async def inflict(self, opened: Stage, fault: Fault, rounds: int) -> Result:
        """Have a fault happen so often on a stage that is open."""
        result = Result(fault)
        opened.during = fault.name
        for _ in range(rounds):
            try:
                await fault.inflict(opened)
            except NotProvoked as error:
                result.skipped = str(error)
                break
            result.rounds += 1
            result.recoveries.append(await self._recovery(opened))
            result.findings += self._exits(opened, fault)
            result.findings += opened.findings
            opened.findings.clear()
        seconds = " ".join(f"{took:.1f}" if took else "-" for took in result.recoveries)
        slow = f" ({result.slow} slower than {fault.recovery:g} s)" if result.slow else ""
        self._say(f"  {fault.name}: {result.skipped or f'recovered after {seconds} s{slow}'}")
        for finding in result.findings:
            self._say(f"    WRONG {finding}")
        return result

    async def _recovery(self, opened: Stage) -> float | None:
        began = time.monotonic()
        mark = await opened.mark()
        if await opened.watch.moved_on(mark, GIVE_UP) is None:
            standing = opened.watch.movement.standing(mark)
            opened.findings.append(f"no progress {GIVE_UP:g} s after the fault: {standing}")
            return None
        took = time.monotonic() - began
        await opened.steady()
        return took

    def _exits(self, opened: Stage, fault: Fault) -> list[str]:
        found = []
        for end in opened.crew.exits:
            told = f"worker {end.number} exited by itself with exit code {end.code}"
            if fault.may_exit and end.code != 0:
                self._say(f"    {told}, which {fault.name} may cause")
            else:
                found.append(f"{told}; its log ends:\n{end.log}")
        opened.crew.exits.clear()
        return found


def _clock(file: Path) -> Clock | None:
    found = library()
    return Clock(file, found) if found else None
