"""The description of a fault and its result."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dev.chaos.stage import Stage


class Kind(StrEnum):
    """What a fault affects; faults of one kind share a stage."""

    WORKERS = "workers"
    BROKER = "broker"
    DATABASE = "database"
    CHANGELOG = "changelog"
    DISK = "disk"
    CLOCK = "clock"
    CLUSTER = "cluster"
    TOPICS = "topics"
    JUDGE = "judge"
    MIXED = "mixed"
    DEFAULTS = "defaults"


class NotProvoked(Exception):  # noqa: N818 - what happened
    """The fault can't be injected on this machine; the message says why."""


@dataclass(frozen=True)
class Fault:
    """One kind of failure that can be injected.

    Always must hold: nothing lost, nothing written twice, contents and outcomes as they must be,
    commits that never go back, and no partition that stands still while all it needs is there.

    Args:
        name: for `--only`.
        kind: what it happens to.
        holds: what must hold besides.
        inflict: makes it happen, and returns when it is over.
        recovery: seconds within which every partition is usually worked off again. On a busy
            machine it takes longer: that is reported, and is no finding.
        rounds: how often it is inflicted.
        short: the same in the short form; 0: it is left out.
        may_exit: whether a worker may end by itself, to be started again by its supervisor.
        anytime: whether it may come after any other, in a random order.
    """

    name: str
    kind: Kind
    holds: str
    inflict: "Callable[[Stage], Awaitable[None]]"
    recovery: float = 20.0
    rounds: int = 1
    short: int = 0
    may_exit: bool = False
    anytime: bool = True


@dataclass
class Result:
    """The outcome of a fault.

    Attributes:
        fault: which one.
        rounds: how often it was inflicted.
        recoveries: seconds of each recovery; None: it never came.
        findings: what did not hold.
        skipped: why it was not inflicted.
    """

    fault: Fault
    rounds: int = 0
    recoveries: list[float | None] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def slow(self) -> int:
        """The number of recoveries that took longer than usual."""
        return sum(1 for took in self.recoveries if took and took > self.fault.recovery)
