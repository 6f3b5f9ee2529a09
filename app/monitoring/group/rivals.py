"""Tells whether another worker of the group writes to another database. Pure.

Two such workers are two deployments with the same application id: they divide the records between
them, and each database gets only a part. One database that was just dropped and re-created, or put
back from a backup, looks similar, because its workers notice one after the other. So databases
count as different only if each worker has looked again and found the same one as before. If both
workers have ever found the same one, it is one database with several addresses.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.monitoring.group.roster import Heard
from app.monitoring.group.snapshot import Snapshot

LOOKS = 2
"""How often each worker must have looked since they first differed: the first look may have begun
before that.
"""


class _Difference(NamedTuple):
    """Two databases, and how often each worker had looked when that was first seen."""

    ours: str
    theirs: str
    we_looked: int
    they_looked: int


class Rivals:
    """Compares this worker's database with those that others in its group report."""

    def __init__(self) -> None:
        self.unclear: Snapshot | None = None
        """A worker of which it is still unclear whether it writes to another database."""
        self._ours: set[str] = set()
        self._theirs: dict[str, set[str]] = {}
        self._differences: dict[str, _Difference] = {}

    def look(self, own: Snapshot, others: Iterable[Heard]) -> Snapshot | None:
        """Find a worker that writes to another database.

        Args:
            own: this worker's snapshot.
            others: the latest snapshots of the other workers.
        """
        self.unclear = None
        found = None
        self._ours.add(own.database.identity)
        for heard in others:
            if not self._differs(own, heard):
                self._differences.pop(heard.snapshot.worker, None)
            elif self._lasts(own, heard.snapshot):
                found = heard.snapshot
            else:
                self.unclear = heard.snapshot
        return found

    def _differs(self, own: Snapshot, heard: Heard) -> bool:
        other = heard.snapshot
        told = own.database.identity and other.database.identity
        if not told or heard.missing or other.group != own.group:
            return False
        theirs = self._theirs.setdefault(other.worker, set())
        theirs.add(other.database.identity)
        return theirs.isdisjoint(self._ours)

    def _lasts(self, own: Snapshot, other: Snapshot) -> bool:
        """Whether both have looked again, and nothing has changed."""
        ours, theirs = own.database, other.database
        now = _Difference(ours.identity, theirs.identity, ours.looks, theirs.looks)
        before = self._differences.setdefault(other.worker, now)
        if before[:2] != now[:2] or theirs.looks < before.they_looked:
            self._differences[other.worker] = now
            return False
        return min(ours.looks - before.we_looked, theirs.looks - before.they_looked) >= LOOKS


def is_second(own: Snapshot, other: Snapshot) -> bool:
    """Whether this worker started after the other; both come to the same answer."""
    return (own.started, own.worker) > (other.started, other.worker)
