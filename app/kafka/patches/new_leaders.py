"""Holds back what a new leader wrote until it is known to have all that was read before.

Whoever becomes a partition's leader begins an epoch, and each batch carries its leader's. A leader
that lacks the end of what was read (see `app.kafka.delivery.epochs`) writes other records in its
place. Once its log is longer than that, the records past the position look as if nothing had
happened. Kafka's own client for Java validates its positions whenever the leader changes; aiokafka
0.14 does not. Pure.

Within a log epochs only rise. An earlier one than before means that records are read again, or that
the log is another one: that of a broker which was restored from an old copy.

What a batch says of its epoch is not covered by the checksum, because leaders write it into batches
that producers made. So it is believed only as far as the leader knows it.
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
        ask: is called once with a partition, how far it was read, and the epoch of the next batch,
            when that is another one. Nothing more of the partition is handed over before `go_on`,
            `go_back` or `read_from`.
    """

    def __init__(self, ask: Callable[[TP, Read, int], object] = lambda *_: None) -> None:
        self._ask = ask
        self._read: dict[TP, Read] = {}
        self._asked: dict[TP, tuple[Read, int]] = {}
        self._left: dict[TP, tuple[Read, int | None]] = {}
        """What a leader that lacks the end has: the last epoch of what was read so far."""
        self._passed: dict[TP, tuple[int, int]] = {}
        """The epoch that the batches being taken have, and what to take it for."""

    def read(self, tp: TP) -> Read | None:
        """How far a partition was read; None if its epoch is not known."""
        return self._read.get(tp)

    def taken(self, tp: TP, epoch: int, offset: int) -> None:
        """Note that records up to `offset` were taken, the last one of this epoch.

        Those that are taken again change nothing: neither after a seek, nor if the fetcher has
        reset itself to the start of a log that is shorter than what was read.
        """
        passed, meant = self._passed.get(tp, (epoch, epoch))
        if passed != epoch:
            del self._passed[tp]
            meant = epoch
        read = self._read.get(tp)
        if read is None or offset > read.offset:
            self._read[tp] = Read(offset, meant)

    def holds_back(self, tp: TP, epoch: int | None) -> bool:
        """Whether a batch of this epoch has to wait; asks if nobody has yet."""
        read = self._read.get(tp)
        passed, _ = self._passed.get(tp, (None, None))
        if read is None or epoch in (None, read.epoch, passed):
            return False
        if not self.waits(tp, read):
            self._asked[tp] = read, epoch
            self._ask(tp, read, epoch)
        return True

    def waits(self, tp: TP, read: Read) -> bool:
        """Whether a partition that was read so far still waits for an answer."""
        return tp in self._asked and self._asked[tp][0] == read == self._read.get(tp)

    def waiting(self) -> frozenset[TP]:
        """The partitions that wait for an answer; any thread may ask."""
        return frozenset(tp for tp, (read, _) in tuple(self._asked.items()) if self.waits(tp, read))

    def go_on(self, tp: TP, read: Read, epoch: int) -> None:
        """Hand over the batches that wait: their leader has all that was read, or nobody can tell.

        Args:
            tp: the partition.
            read: how far it was read when it was asked for.
            epoch: the one that the batches are of, whatever they say.
        """
        if self.waits(tp, read):
            _, held = self._asked.pop(tp)
            self._read[tp] = Read(read.offset, epoch)
            self._passed[tp] = held, epoch

    def lacks_end(self, tp: TP, read: Read, epoch: int | None) -> None:
        """Note what the leader has of what was read; it counts from `go_back` on.

        Args:
            tp: the partition.
            read: how far it was read.
            epoch: the last one of what was read that the leader has; None if it tells of none.
        """
        self._left[tp] = read, epoch

    def go_back(self, tp: TP, offset: int) -> None:
        """Note that the same log is read from an earlier offset on."""
        if (read := self._read.get(tp)) is not None:
            of, epoch = self._left.get(tp, (None, None))
            self.read_from(tp, offset, epoch if of == read else read.epoch)

    def read_from(self, tp: TP, offset: int, epoch: int | None) -> None:
        """Note from where on a partition is read; `epoch` as in `Read`, None if unknown."""
        for known in (self._asked, self._read, self._left, self._passed):
            known.pop(tp, None)
        if epoch is not None:
            self._read[tp] = Read(offset, epoch)

    def forget(self) -> None:
        """Forget all partitions, whose positions are about to be set."""
        for known in (self._asked, self._read, self._left, self._passed):
            known.clear()
