"""The last snapshot of each worker of the group, and which of them have gone silent. Pure.

Snapshots are compared by their timestamps from Kafka, because workers' clocks differ. While this
worker hears from nobody at all, Kafka is away or this worker is cut off, so nobody is called
missing.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from app.monitoring.group.snapshot import Snapshot

SILENT_SECONDS = 15.0
"""Seconds of silence after which a worker is missing: three snapshots."""

FORGOTTEN_SECONDS = 3600.0
"""Seconds of silence after which a worker is forgotten: it will not come back under this name."""

MOST = 200
"""The most workers to remember, those heard last."""


class Heard(NamedTuple):
    """A worker of the group.

    Args:
        age: seconds since it was heard; 0 for this worker.
        missing: whether it has been silent for too long, while others were heard.
        own: whether it is this worker.
    """

    snapshot: Snapshot
    age: float
    missing: bool = False
    own: bool = False


class Roster:
    """Remembers the latest snapshot of each worker.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.own = Snapshot("this worker")
        """This worker's latest snapshot."""
        self.trouble = ""
        """Why the others cannot be heard; empty while they can."""
        self._clock = clock
        self._last: dict[str, tuple[Snapshot, float]] = {}
        """Snapshots by worker, each with Kafka's timestamp in epoch seconds; the most recent one
        last.
        """
        self._twin: tuple[Snapshot, float] | None = None
        """The snapshot of another process with this worker's name: an earlier one, or one
        elsewhere.
        """
        self._newest = 0.0
        self._newest_at = 0.0

    def heard(self, name: str, snapshot: Snapshot | None, stamp: float) -> None:
        """Take a snapshot; None if the worker has stopped in an orderly way.

        Args:
            name: the worker's name.
            snapshot: its snapshot.
            stamp: Kafka's timestamp, in epoch seconds.
        """
        if stamp >= self._newest:
            self._newest, self._newest_at = stamp, self._clock()
        if name == self.own.worker and (snapshot is None or snapshot.started != self.own.started):
            self._twin = (snapshot, stamp) if snapshot else None
        self._last.pop(name, None)
        if snapshot is not None:
            self._last[name] = (snapshot, stamp)
        while len(self._last) > MOST:
            del self._last[next(iter(self._last))]

    @property
    def silence(self) -> float | None:
        """Seconds since anybody was heard, including this worker; None before the first time."""
        return self._clock() - self._newest_at if self._newest else None

    def workers(self) -> list[Heard]:
        """Every worker, this one first, then by name."""
        found = [Heard(self.own, 0.0, own=True)]
        for name, (snapshot, stamp) in sorted(self._last.items()):
            if name == self.own.worker:
                continue
            heard = self._heard(snapshot, stamp)
            if heard.age > FORGOTTEN_SECONDS:
                del self._last[name]
                continue
            found.append(heard)
        return found

    def others(self) -> list[Heard]:
        """All workers except this one, but including another process with this worker's name.

        Machines of two deployments may have the same names.
        """
        found = [one for one in self.workers() if not one.own]
        if self._twin is not None:
            found.append(self._heard(*self._twin))
        return found

    def _heard(self, snapshot: Snapshot, stamp: float) -> Heard:
        behind = max(0.0, self._newest - stamp)
        return Heard(snapshot, behind + (self.silence or 0.0), missing=behind > SILENT_SECONDS)

    def by_member(self, own: str) -> dict[str, str]:
        """The workers' names by their ids in the consumer group.

        Args:
            own: this worker's current id; its latest snapshot may be older.
        """
        said = {one.snapshot.member: one.snapshot.worker for one in self.workers()}
        return {id_: name for id_, name in {**said, own: self.own.worker}.items() if id_}
