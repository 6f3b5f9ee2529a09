"""The last hour, for the charts of the status page: one sample every few seconds, in memory."""

from collections import deque
from typing import NamedTuple

SAMPLES = 720
"""An hour of one each five seconds."""


class Sample(NamedTuple):
    """How it was at one moment; rates are of the whole group. None: it was not known."""

    at: float
    """Epoch seconds."""
    read: float
    stored: float
    duplicates: float
    skipped: float
    dead_letters: float
    lag: float | None
    oldest: float | None
    """Age in seconds of the oldest record that is not finished, of this worker's."""
    half: float | None
    """Seconds until half of the activations are stored, of this worker's."""
    most: float | None
    """The same of 99 %."""
    requests: float
    """Requests to the database at a time that the pace allows, of all workers."""
    waiting: float
    """Documents that wait for one."""


class History:
    """Keeps samples, the latest `SAMPLES` of them."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=SAMPLES)

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self._samples.append(sample)

    def since(self, at: float) -> dict[str, list[float | None]]:
        """By name, what was sampled after a moment, in epoch seconds."""
        found = [sample for sample in self._samples if sample.at > at]
        columns: list[tuple[float | None, ...]] = list(zip(*found, strict=True))
        values = columns or [()] * len(Sample._fields)
        return {
            name: [None if one is None else round(one, 3) for one in column]
            for name, column in zip(Sample._fields, values, strict=True)
        }

    def lately(self, samples: int = 12) -> Sample | None:
        """The mean of the last samples, a minute of them; None without any."""
        last = [self._samples[number] for number in range(-min(samples, len(self._samples)), 0)]
        if not last:
            return None
        means = [
            _mean([one for one in column if one is not None]) for column in zip(*last, strict=True)
        ]
        return Sample(*means)  # type: ignore[arg-type]  # what may be None is as it was


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
