"""Holds back what a new leader wrote until it is known to have all that was read before.

Whoever becomes a partition's leader begins an epoch, and each batch carries its leader's. A leader
that lacks the end of what was read (see `app.kafka.delivery.epochs`) writes other records in its
place. Once its log is longer than that, the records past the position look as if nothing had
happened. Kafka's own client for Java validates its positions whenever the leader changes; aiokafka
0.14 does not. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from faust.types import TP


@dataclass(frozen=True)
class Read:
    """How far a log was read.

    Args:
        offset: the next one to read.
        epoch: of the leader that wrote the last record before it, or of a later one that has it.
    """

    offset: int
    epoch: int


class NewLeaders:
    """Knows how far partitions were read, and which wait for an answer about a new leader.

    Args:
        ask: is called once with a partition, and how far it was read, when a batch of a later epoch
            comes. Nothing more of the partition is handed over before `go_on` or `read_from`.
    """

    def __init__(self, ask: Callable[[TP, Read], object] = lambda _tp, _read: None) -> None:
        self._ask = ask
        self._read: dict[TP, Read] = {}
        self._asked: dict[TP, tuple[Read, int]] = {}

    def read(self, tp: TP) -> Read | None:
        """How far a partition was read; None if its epoch is not known."""
        return self._read.get(tp)

    def taken(self, tp: TP, epoch: int, offset: int) -> None:
        """Note that records up to `offset` were taken, the last one of this epoch.

        Those that are taken again change nothing: neither after a seek, nor if the fetcher has
        reset itself to the start of a log that is shorter than what was read.
        """
        read = self._read.get(tp)
        if read is None or offset > read.offset:
            self._read[tp] = Read(offset, epoch)

    def holds_back(self, tp: TP, epoch: int | None) -> bool:
        """Whether a batch of this epoch has to wait; asks if nobody has yet."""
        read = self._read.get(tp)
        if read is None or epoch is None or epoch <= read.epoch:
            return False
        if not self.waits(tp, read):
            self._asked[tp] = read, epoch
            self._ask(tp, read)
        return True

    def waits(self, tp: TP, read: Read) -> bool:
        """Whether a partition that was read so far still waits for an answer."""
        return tp in self._asked and self._asked[tp][0] == read == self._read.get(tp)

    def go_on(self, tp: TP, read: Read) -> None:
        """The new leader has all that was read, or nobody can tell."""
        if self.waits(tp, read):
            _, epoch = self._asked.pop(tp)
            self._read[tp] = Read(read.offset, epoch)

    def read_from(self, tp: TP, offset: int, epoch: int | None) -> None:
        """Note from where on a partition is read; `epoch` as in `Read`, None if unknown."""
        self._asked.pop(tp, None)
        self._read.pop(tp, None)
        if epoch is not None:
            self._read[tp] = Read(offset, epoch)

    def forget(self) -> None:
        """Forget all partitions, whose positions are about to be set."""
        self._read.clear()
        self._asked.clear()
