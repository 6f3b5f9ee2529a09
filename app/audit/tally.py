"""What a standing audit has found so far: counts for `/metrics`, and the lines of its log."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.audit.findings import Settled
from app.audit.verdicts import FAILURES, Ending, Verdict
from app.process.words import counted
from models.instants import iso

_WRONG = {
    Verdict.MISSING: "records are missing in the database",
    Verdict.DIFFERENT: "records are stored, but not as sent",
    Verdict.NOT_SET_ASIDE: "records are neither stored nor set aside",
    Verdict.NEVER_ARRIVED: "activations were reported as finished, but their records never came",
}


@dataclass(frozen=True)
class Round:
    """One round of a standing audit.

    Args:
        at: epoch seconds of its end.
        settled: what was judged for good.
        missed: records that Kafka deleted before any audit looked at them.
        lost: records that Kafka deleted before the worker read them.
        not_judged: acknowledgements whose records may or may not be due: nobody can say.
    """

    at: float
    settled: Settled
    missed: int = 0
    lost: int = 0
    not_judged: int = 0

    @property
    def good(self) -> bool:
        """Whether it found nothing that should not be."""
        return not (self.lost or any(self.settled.verdicts[one] for one in FAILURES))


@dataclass
class Counts:
    """What was judged for good in some time."""

    endings: Counter[Ending] = field(default_factory=Counter)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    missed: int = 0

    def add(self, found: Round) -> None:
        """Add a round."""
        self.endings.update(found.settled.endings)
        self.verdicts.update(found.settled.verdicts)
        self.missed += found.missed

    def as_line(self) -> str:
        """So many finished = stored + skipped + set aside + never arrived, and so many checked."""
        wrong = (Ending.MISSING, Ending.DIFFERENT, Ending.NOT_SET_ASIDE)
        shown = [one for one in Ending if one not in wrong or self.endings[one]]
        parts = " + ".join(f"{self.endings[one]} {one}" for one in shown)
        line = (
            f"{self.endings.total()} activations finished = {parts}; "
            f"{self.verdicts.total()} records checked"
        )
        if self.missed:
            line += f", {self.missed} deleted by Kafka before they could be"
        return line


@dataclass
class Tally:
    """All rounds since the start.

    Args:
        started: epoch seconds.
    """

    started: float
    all: Counts = field(default_factory=Counts)
    today: Counts = field(default_factory=Counts)
    rounds: int = 0
    failed_rounds: int = 0
    last: Round | None = None
    last_error: str | None = None
    """Why the latest round could not be made; None when it could."""

    wrong: bool = False
    """Whether any round found something that should not be."""

    _day: int | None = None

    def add(self, found: Round) -> None:
        """Add a round that was made."""
        self.rounds += 1
        self.last, self.last_error = found, None
        self.wrong |= not found.good
        self.all.add(found)
        self.today.add(found)

    def fail(self, why: str) -> None:
        """Note a round that could not be made."""
        self.failed_rounds += 1
        self.last_error = why

    def oldest_unchecked(self) -> float | None:
        """The time of the oldest record that is not judged for good, epoch seconds.

        What came after the last round began counts from its end: nothing older is unchecked.
        """
        if self.last is None:
            return None
        oldest = self.last.settled.oldest_open
        return self.last.at if oldest is None else min(self.last.at, oldest / 1000)

    def day_ended(self, now: float) -> str | None:
        """The line of the day that has ended, once; epoch seconds, days in UTC."""
        day = int(now // 86_400)
        if self._day is None or day == self._day:
            self._day = day
            return None
        line = f"{iso(self._day * 86_400_000)[:10]}: {self.summary(self.today)}"
        self._day, self.today = day, Counts()
        return line

    def summary(self, counts: Counts) -> str:
        """The line about these counts, with how far the audit has come."""
        oldest = self.oldest_unchecked()
        reach = "nothing was checked yet" if oldest is None else f"checked up to {_iso(oldest)}"
        return f"{counts.as_line()}; {reach}"


def complaints(found: Round, examples: Mapping[Verdict, Iterable[str]]) -> list[str]:
    """What a round found that should not be, a line for each kind.

    Args:
        found: the round.
        examples: of each kind, where the first ones are.
    """
    lines = [
        f"{count} {_WRONG[verdict]}: {', '.join(examples.get(verdict, ()))}"
        for verdict in FAILURES
        if (count := found.settled.verdicts[verdict])
    ]
    for count, who in ((found.lost, "worker"), (found.missed, "audit")):
        if count:
            deleted = counted(count, "record was", "records were")
            lines.append(f"{deleted} deleted by Kafka before the {who} read them")
    return lines


def _iso(at: float) -> str:
    return iso(int(at * 1000), "seconds")
