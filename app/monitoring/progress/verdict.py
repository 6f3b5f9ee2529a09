"""The judge's verdict on each partition and on the worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from faust.types import TP

from app.kafka.group_view import Reach


class State(StrEnum):
    """Whether the work makes progress."""

    MOVING = "moving"
    """Unread records are being finished, or have only just arrived."""

    IDLE = "idle"
    """Nothing is unread."""

    WAITING = "waiting"
    """Nothing moves, for a known reason that a restart would not fix."""

    STUCK = "stuck"
    """Nothing moves for no known reason; a restart may help."""


@dataclass(frozen=True, slots=True)
class PartitionVerdict:
    """The verdict on a partition.

    Args:
        reach: how far the group is in it.
        holder: where the member that reads it connects from; None if nobody does.
        mine: whether this worker reads it.
        since: since when it waits or is stuck, in epoch seconds.
        why: why it waits or is stuck; empty otherwise.
        member: the id of the member that reads it; empty if nobody does.
    """

    state: State
    reach: Reach
    holder: str | None = None
    mine: bool = False
    since: float | None = None
    why: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on this worker.

    Args:
        not_ready: why its work makes no progress; None if it does.
        since: since when that is so, in epoch seconds.
        stuck_for: for how many seconds something has stood still that a restart may fix; 0 if
            nothing does.
        stuck_on: what stands still.
        partitions: every partition that the group should read.
    """

    state: State
    not_ready: str | None
    since: float | None = None
    stuck_for: float = 0.0
    stuck_on: str = ""
    partitions: Mapping[TP, PartitionVerdict] = field(default_factory=dict)

    def lag(self) -> int:
        """The number of unread records in this worker's partitions."""
        return sum(one.reach.lag or 0 for one in self.partitions.values() if one.mine)


BEFORE_THE_FIRST = Verdict(State.WAITING, "starting: has not looked at Kafka yet")
