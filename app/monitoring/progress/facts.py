"""The judge's input: Kafka's view of the group, and this worker's own state."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from faust.types import TP

from app.kafka.group_view import GroupView


@dataclass(frozen=True, slots=True)
class Silence:
    """Kafka did not answer; why, in words for an operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Database:
    """The writer's view of the database.

    Args:
        failing: why every request fails at present; empty while they do not.
        last_error: of any request; empty before the first.
        settled: documents that the database has ever settled; each counts when it is written, and
            again when its chunk is finished, which is all that one the guard knows does.
        answers: requests that it has ever answered, in whatever way, or that timed out.
        busy: whether requests are under way or wait for the pace.
    """

    failing: str = ""
    last_error: str = ""
    settled: int = 0
    answers: int = 0
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Worker:
    """This worker's own state.

    Args:
        member: its id in the group; empty before it has joined.
        generation: of the group, as the worker knows it.
        stopping: whether it was told to stop.
        started: whether it was assigned partitions and has read the guard's table since.
        rebalancing: whether Faust is between two assignments.
        recovery_left: changes of the guard's table that it still has to read.
        held: by topic, why nothing of it is fetched on purpose (its breaker).
        refused: why the group does not take this worker at present; empty while it does.
        unsent: why Kafka does not take what the worker sends at present; empty while it does.
        throttled: that Kafka holds the worker's requests back at present, and how much; empty while
            it does not.
        at_work: partitions whose next chunk has reached its agent; others wait to be fetched, or
            behind what was fetched of the others.
        database: what the writer knows.
    """

    member: str = ""
    generation: int = -1
    stopping: bool = False
    started: bool = True
    rebalancing: bool = False
    recovery_left: int = 0
    held: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    unsent: str = ""
    throttled: str = ""
    at_work: frozenset[TP] = frozenset()
    database: Database = field(default_factory=Database)


Seen = GroupView | Silence
