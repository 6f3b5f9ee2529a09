"""Finds the most frequent keys in bounded memory: the space-saving algorithm, emptied in batches.

Metwally, Agrawal, El Abbadi, *Efficient computation of frequent and top-k elements in data streams*
(2005). Every key with more than one in `rows` of all occurrences is among the rows. A key that is
evicted had at most the smallest count that stays, so a key that returns may have occurred up to
that many times before; its row has that number as `unsure`.
"""

from typing import Generic, Protocol, TypeVar


class Row(Protocol):
    """The counts of a key."""

    runs: int
    unsure: int


R = TypeVar("R", bound=Row)


class HeavyHitters(Generic[R]):
    """The most frequent keys.

    Args:
        row: makes an empty row.
        rows: how many rows matter; up to twice as many are kept.
    """

    def __init__(self, row: type[R], rows: int) -> None:
        self._row = row
        self._rows = rows
        self._kept: dict[str, R] = {}
        self._floor = 0

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, key: str) -> R:
        """The row of a key, to count in."""
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= 2 * self._rows:
                self._evict()
            found = self._kept[key] = self._row()
            found.runs = found.unsure = self._floor
        return found

    def items(self) -> list[tuple[str, R]]:
        """The keys and their rows, the most frequent first; up to twice as many as matter."""
        return self._ordered()

    def _ordered(self) -> list[tuple[str, R]]:
        return sorted(self._kept.items(), key=lambda item: -item[1].runs)

    def _evict(self) -> None:
        ordered = self._ordered()
        self._floor = ordered[self._rows][1].runs
        self._kept = dict(ordered[: self._rows])
