"""Measures how long a value has stayed the same, counting only the time it was watched. Pure."""

from collections.abc import Hashable

LONGEST_STEP = 10.0
"""Most seconds that count between two looks. A process that was frozen has seen nothing in between.
"""


class Lasting:
    """Stopwatches by key, each of which restarts when its value changes."""

    def __init__(self) -> None:
        self._now = 0.0
        self._last: float | None = None
        self._since: dict[Hashable, tuple[Hashable, float]] = {}
        self._asked: set[Hashable] = set()

    def tick(self, at: float) -> None:
        """Start a new look, at a time in monotonic seconds; forgets keys that nobody asks for."""
        if self._last is not None:
            self._now += min(at - self._last, LONGEST_STEP)
            self._since = {key: self._since[key] for key in self._asked}
        self._last = at
        self._asked = set()

    @property
    def now(self) -> float:
        """Seconds that were watched until the current look."""
        return self._now

    def of(self, key: Hashable, value: Hashable = None) -> float:
        """For how many seconds `key` was asked for at every look and had this value."""
        before = self._since.get(key)
        if before is None or before[0] != value:
            self._since[key] = (value, self._now)
        self._asked.add(key)
        return self._now - self._since[key][1]
