"""Holds back what a new leader wrote until it is known to have all that was read before.

Whoever becomes a partition's leader begins an epoch, and each batch carries its leader's. A leader
that lacks the end of what was read (see `app.kafka.delivery.epochs`) writes other records in its
place. Once its log is longer than that, the records past the position look as if nothing had
happened. Kafka's own client for Java validates its positions whenever the leader changes; aiokafka
0.14 does not. Pure.

Within a log epochs only rise. An earlier one than before means that records are read again, or that
the log is another one: that of a broker which was restored from an old copy.

What a batch says of its epoch is not covered by the checksum, because leaders write it into batches
that producers made. And what has been fetched may be of a leader that was replaced since. So it is
believed only where the leader has that epoch there, for the first batch as well. A log may begin
with epochs that its leader does not know: Kafka's metadata were restored from a copy, or the
topic's format has none any more. Whoever notes such a one, or takes it for the one before it, looks
for what the log has lost, and goes back there for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass

from faust.types import TP

KEPT = 64
"""Changes of epoch that are remembered of a partition: more than lie between what is committed and
what is fetched.
"""


@dataclass(frozen=True)
class Read:
    """How far a log was read.

    Args:
        offset: the next one to read.
        epoch: of the leader that wrote the last record before it, or of a later one that has it;
            None if that is not known.
    """

    offset: int
    epoch: int | None


class NewLeaders:
    """Knows how far partitions were read, and which wait for an answer about a new leader.

    Args:
        ask: is called once with a partition, how far it was read, and the epoch of the next batch,
            when that is another one. Nothing more of the partition is handed over before `go_on`,
            `go_back` or `read_from`.
    """

    def __init__(self, ask: Callable[[TP, Read, int], object] = lambda *_: None) -> None:
        self._ask = ask
        self._read: dict[TP, tuple[Read, ...]] = {}
        """How far each of the last epochs was read; the last one is the present."""
        self._asked: dict[TP, tuple[Read, int]] = {}
        self._left: dict[TP, tuple[Read, int | None]] = {}
        """What a leader that lacks the end has: the last epoch of what was read so far."""
        self._denied: dict[TP, tuple[Read, int]] = {}
        """Whose epoch its leader did not know: how far was read then, and the epoch."""
        self._left_for: dict[TP, Read] = {}
        """How far was read what was last gone back from."""
        self._passed: dict[TP, tuple[int, int | None]] = {}
        """The epoch that the batches being taken have, and what to take it for."""
        self._doubted: set[TP] = set()
        """Partitions whose next batch is asked for even if it is of the epoch before it: that ends
        where it was gone back to, unless yet another broker leads by now.
        """

    def read(self, tp: TP) -> Read | None:
        """How far a partition was read; None if nothing is known of it."""
        read = self._read.get(tp)
        return read[-1] if read else None

    def history(self, tp: TP) -> tuple[Read, ...]:
        """How far each of the last epochs was read, in order, up to the last one that is known."""
        read = self._read.get(tp, ())
        known = [number for number, one in enumerate(read, 1) if one.epoch is not None]
        return read[: max(known, default=0)]

    def epoch_before(self, tp: TP, offset: int) -> int | None:
        """The epoch of the last record before an offset, if it is known; any thread may ask.

        Not that of what was read last: it may wait to be finished, and a next leader may lack it.
        """
        read = self._read.get(tp)
        if read is None:
            return None
        return next((one.epoch for one in read if one.offset >= offset), read[-1].epoch)

    def taken(self, tp: TP, epoch: int, offset: int) -> None:
        """Note that records up to `offset` were taken, the last one of this epoch.

        Those that are taken again change nothing: neither after a seek, nor if the fetcher has
        reset itself to the start of a log that is shorter than what was read.
        """
        passed, meant = self._passed.get(tp, (epoch, epoch))
        if passed != epoch:
            del self._passed[tp]
            meant = epoch
        read = self._read.get(tp, ())
        if read and offset <= read[-1].offset:
            return
        before = read[:-1] if read and read[-1].epoch == meant else read
        self._read[tp] = (*before[-KEPT:], Read(offset, meant))

    def holds_back(self, tp: TP, epoch: int | None, offset: int) -> bool:
        """Whether a batch has to wait; asks if nobody has yet.

        Args:
            tp: the partition.
            epoch: of the batch; None if it has none.
            offset: where the batch is read from.
        """
        read = self.read(tp) or Read(offset, None)
        passed, _ = self._passed.get(tp, (None, None))
        same = epoch == read.epoch and tp not in self._doubted
        if epoch is None or epoch == passed or same:
            return False
        if not self.waits(tp, read):
            self._asked[tp] = read, epoch
            self._ask(tp, read, epoch)
        return True

    def waits(self, tp: TP, read: Read) -> bool:
        """Whether a partition that was read so far still waits for an answer."""
        asked = self._asked.get(tp)
        return asked is not None and asked[0] == read and self.read(tp) in (None, read)

    def is_waiting(self, tp: TP) -> bool:
        """Whether a partition waits for an answer; any thread may ask."""
        asked = self._asked.get(tp)
        return asked is not None and self.waits(tp, asked[0])

    def waiting(self) -> frozenset[TP]:
        """The partitions that wait for an answer; any thread may ask."""
        return frozenset(tp for tp in tuple(self._asked) if self.is_waiting(tp))

    def go_on(self, tp: TP, read: Read, epoch: int | None) -> None:
        """Hand over the batches that wait: their leader has all that was read, or nobody can tell.

        Args:
            tp: the partition.
            read: how far it was read when it was asked for.
            epoch: the one that the batches are of; None if nobody knows, whatever they say.
        """
        if self.waits(tp, read):
            _, held = self._asked.pop(tp)
            self._denied.pop(tp, None)
            self._doubted.discard(tp)
            self._read.setdefault(tp, (read,))
            self._passed[tp] = held, epoch

    def denied_first(self, tp: TP, read: Read, held: int) -> bool:
        """Whether a leader denies the epoch of the batches that wait for the first time.

        They may be those of a leader that it has replaced: aiokafka keeps what it has fetched. So
        they have to be fetched again, and are asked for again.

        Args:
            tp: the partition.
            read: how far it was read when it was asked for.
            held: the epoch that the batches say.
        """
        if not self.waits(tp, read) or self._denied.get(tp) == (read, held):
            return False
        self._denied[tp] = read, held
        del self._asked[tp]
        return True

    def lacks_end(self, tp: TP, read: Read, epoch: int | None) -> None:
        """Note what the leader has of what was read; it counts from `go_back` on.

        Args:
            tp: the partition.
            read: how far it was read in the last epoch that is known.
            epoch: the last one of what was read that the leader has; None if it tells of none.
        """
        self._left[tp] = read, epoch

    def went_back(self, tp: TP, read: Read) -> bool:
        """Whether to go back in a partition would be to go round in circles.

        It was gone back in because it had lost some of this, and its leader names no place from
        which on it is another log. A leader that names one is followed each time: two may lead in
        turn.
        """
        return self._left.get(tp) == (read, None) and self._left_for.get(tp) == read

    def go_back(self, tp: TP, offset: int) -> None:
        """Note that the same log is read from an earlier offset on."""
        if history := self._read.get(tp):
            read = (self.history(tp) or history)[-1]
            before = self.epoch_before(tp, offset)
            of, left = self._left.get(tp, (None, None))
            if of != read:
                left = before
            self._left_for[tp] = read
            epoch = None if before is None or left is None else min(before, left)
            self.read_from(tp, offset, epoch)
            self._doubted.add(tp)
            if epoch is not None:
                # The log may differ from still further before: it is asked for that next.
                below = [
                    one
                    for one in history
                    if one.offset < offset and (one.epoch is None or one.epoch <= epoch)
                ]
                self._read[tp] = (*below, Read(offset, epoch))

    def read_from(self, tp: TP, offset: int, epoch: int | None) -> None:
        """Note from where on a partition is read; `epoch` as in `Read`, None if unknown."""
        for known in (self._asked, self._read, self._left, self._passed, self._denied):
            known.pop(tp, None)
        self._doubted.discard(tp)
        if epoch is not None:
            self._read[tp] = (Read(offset, epoch),)

    def forget(self) -> None:
        """Forget all partitions, whose positions are about to be set."""
        for known in (self._asked, self._read, self._left, self._passed, self._denied):
            known.clear()
        self._left_for.clear()
        self._doubted.clear()
