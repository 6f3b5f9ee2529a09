"""The judge's verdict on each partition and on the worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from faust.types import TP

from app.kafka.group_view import Reach


class State(StrEnum):
    """Whether work moves."""

    MOVING = "moving"
    """What is unread becomes less, or has only just come."""

    IDLE = "idle"
    """Nothing is unread."""

    WAITING = "waiting"
    """Nothing moves, for a known reason that a restart would not fix."""

    STUCK = "stuck"
    """Nothing moves for no known reason; a restart may help."""


@dataclass(frozen=True, slots=True)
class PartitionVerdict:
    """Where a partition stands.

    Args:
        reach: how far the group is in it.
        holder: where the member that reads it connects from; None when nobody reads it.
        mine: whether that is this worker.
        since: epoch seconds from which on it waits or is stuck.
        why: it waits or is stuck; empty otherwise.
        member: the id of the member that reads it; empty when nobody does.
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
    """Whether this worker's work moves.

    Args:
        not_ready: why it does not; None while it does.
        since: epoch seconds from which on this is so.
        stuck_for: seconds for which something has stood still that a restart may mend; 0 if
            nothing does.
        stuck_on: what that is.
        partitions: every partition that the group should read.
    """

    state: State
    not_ready: str | None
    since: float | None = None
    stuck_for: float = 0.0
    stuck_on: str = ""
    partitions: Mapping[TP, PartitionVerdict] = field(default_factory=dict)

    def lag(self) -> int:
        """Unread records of this worker's partitions."""
        return sum(one.reach.lag or 0 for one in self.partitions.values() if one.mine)


BEFORE_THE_FIRST = Verdict(State.WAITING, "starting: has not looked at Kafka yet")
