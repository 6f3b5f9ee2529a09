"""The lag of each partition."""

from dataclasses import dataclass

from faust.types import TP

from app.kafka.delivery.ledger import Ledger
from app.monitoring.progress import PartitionVerdict, Progress


@dataclass(frozen=True)
class PartitionLag:
    """How far one partition is behind.

    Args:
        committed: the offset up to which every record is safe; None before the first seek.
        end: the offset that the next record will get; None while Kafka does not say.
        start: the first offset that Kafka still has.
    """

    topic: str
    partition: int
    committed: int | None
    end: int | None
    start: int = 0

    @property
    def lag(self) -> int | None:
        """The number of unfinished records."""
        if self.committed is None or self.end is None:
            return None
        return max(0, self.end - max(self.committed, self.start))


class Lags:
    """The lag of every partition of the group; sends no requests to Kafka.

    Args:
        progress: what Kafka last said.
        ledger: how far this worker has come since then, in the partitions that it reads.
    """

    def __init__(self, progress: Progress, ledger: Ledger) -> None:
        self._progress = progress
        self._ledger = ledger

    def mine(self) -> list[PartitionLag]:
        """The partitions that this worker reads."""
        verdicts = sorted(self._progress.verdict.partitions.items())
        return [self.of(tp, found) for tp, found in verdicts if found.mine]

    def of(self, tp: TP, found: PartitionVerdict) -> PartitionLag:
        """The lag of one partition."""
        reach = found.reach
        committed = self._ledger.committed(tp) if found.mine else None
        position = (self._ledger.position(tp) if found.mine else None) or 0
        return PartitionLag(
            tp.topic,
            tp.partition,
            reach.committed if committed is None else committed,
            None if reach.end is None else max(reach.end, position),
            reach.start or 0,
        )
