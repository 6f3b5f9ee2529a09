"""The judge's input: Kafka's view of the group, and this worker's own state."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from faust.types import TP

from app.kafka.group_view import GroupView


@dataclass(frozen=True, slots=True)
class Silence:
    """Kafka did not answer; `why` is in words for an operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Database:
    """The writer's view of the database.

    Args:
        failing: why every request currently fails; empty while some succeed.
        last_error: the last error of any request; empty before the first.
        stored: how many documents it ever took, or turned out to have when they were read back.
        compared: how many were settled by what it has, without being sent; a maximum rate does not
            bind these.
        finished: how many were ever done with, with those that never came to the database, such as
            duplicates that the guard knows.
        answers: how many requests were ever answered, in whatever way, or timed out.
        busy: whether requests are under way or waiting for the pace, or documents are compared.
        waits: what requests wait for on purpose, such as the maximum rate, while none is under
            way; empty otherwise.
    """

    failing: str = ""
    last_error: str = ""
    stored: int = 0
    compared: int = 0
    finished: int = 0
    answers: int = 0
    busy: bool = False
    waits: str = ""

    @property
    def settled(self) -> int:
        """Grows with each document that is stored or compared, and again when it is finished."""
        return self.stored + self.compared + self.finished

    @property
    def last_stored(self) -> tuple[int, str]:
        """Changes when documents are stored or compared, or requests begin or cease to wait."""
        return self.stored + self.compared, self.waits

    @property
    def last_answered(self) -> tuple[int, str]:
        """The same for answers; one may be compared with many documents."""
        return self.answers + self.compared, self.waits


@dataclass(frozen=True, slots=True)
class Worker:
    """This worker's own state.

    Args:
        member: its id in the group; empty before it has joined.
        generation: the group's generation as the worker knows it.
        stopping: whether it was told to stop.
        leads: whether it leads the group, and so assigns its partitions.
        started: whether it was assigned partitions and has read the guard's table since.
        rebalancing: whether Faust is between two assignments.
        recovery_left: how many changes of the guard's table it still has to read.
        held: why topics are not fetched on purpose, such as an open breaker.
        unreadable: why topics may not be fetched.
        unanswered: partitions whose new leader does not say whether it has what was read.
        refused: why the group does not accept this worker; empty while it does.
        unsent: why Kafka does not take what the worker sends; empty while it does.
        throttled: how much Kafka throttles the worker; empty while it does not.
        at_work: partitions whose next chunk has reached its agent; chunks of others wait to be
            fetched, or behind fetched chunks.
        database: the writer's view of the database.
    """

    member: str = ""
    generation: int = -1
    stopping: bool = False
    leads: bool = True
    started: bool = True
    rebalancing: bool = False
    recovery_left: int = 0
    held: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unanswered: frozenset[TP] = frozenset()
    refused: str = ""
    unsent: str = ""
    throttled: str = ""
    at_work: frozenset[TP] = frozenset()
    database: Database = field(default_factory=Database)


Seen = GroupView | Silence
