"""The last hour, for the charts of the status page: one sample every few seconds, in memory."""

from collections import deque
from typing import NamedTuple

SAMPLES = 720
"""One hour of samples every five seconds."""


class Sample(NamedTuple):
    """The state at one moment, with rates of the whole group; None if a value was unknown."""

    at: float
    """In epoch seconds."""
    read: float
    stored: float
    duplicates: float
    skipped: float
    dead_letters: float
    lag: float | None
    oldest: float | None
    """Age in seconds of this worker's oldest unfinished record."""
    half: float | None
    """Seconds within which this worker stores half of its activations."""
    most: float | None
    """Seconds within which it stores 99 % of them."""
    requests: float
    """Concurrent requests to the database that the pace allows to all workers."""
    waiting: float
    """Documents that wait for a request."""


class History:
    """Keeps the latest `SAMPLES` samples."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self._samples.append(sample)

    def since(self, at: float) -> dict[str, list[float | None]]:
        """The values by name that were sampled after `at` (epoch seconds)."""
        found = [sample for sample in self._samples if sample.at > at]
        columns: list[tuple[float | None, ...]] = list(zip(*found, strict=True))
        values = columns or [()] * len(Sample._fields)
        return {
            name: [None if one is None else round(one, 3) for one in column]
            for name, column in zip(Sample._fields, values, strict=True)
        }

    def lately(self, samples: int = 12) -> Sample | None:
        """The mean of the last samples, by default of a minute; None without any."""
        last = [self._samples[number] for number in range(-min(samples, len(self._samples)), 0)]
        if not last:
            return None
        means = [
            _mean([one for one in column if one is not None]) for column in zip(*last, strict=True)
        ]
        return Sample(*means)  # type: ignore[arg-type]  # what may be None is as it was


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
