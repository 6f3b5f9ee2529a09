"""Decides where to resume reading a partition, and describes what has become of its log. Pure.

Reading resumes at the offset that the group has committed, as long as the log still has the same
records there. Otherwise something has happened to the log since:

- `Expired`: retention deleted records before they were read, which are lost.
- `Recreated`: the topic was deleted and re-created, and its offsets start over (see `notes`).
- `Overwritten`: Kafka lost the end of the log and has written other records there (see `epochs`).
- `Shortened`: it is the same topic, but its log ends before the offset.

Or somebody else has committed what nobody has read:

- `Overtaken`: any member of the group may commit any offset, and a worker that has kept a partition
  knows how far it was.
"""

import logging
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from faust.types import TP

from app.kafka.topics import after_loss
from app.process.words import counted

_LOST_END = (
    "Kafka has lost its end since (an unclean leader election, or a disk restored from a copy)"
)


@dataclass(frozen=True)
class Expired:
    """Retention deleted records before they were read.

    Args:
        first: offset of the first one.
        last: offset of the last one.
    """

    first: int
    last: int

    level: ClassVar = logging.ERROR

    @property
    def count(self) -> int:
        """How many offsets that is, which is the number of records unless the log was compacted."""
        return self.last - self.first + 1

    def message(self, tp: TP) -> str:
        """What to log."""
        return (
            f"Lost {counted(self.count, 'record')} of {tp.topic}/{tp.partition}: Kafka's retention "
            f"deleted offsets {self.first} to {self.last} before they were read: "
            f"{after_loss(tp.topic)}."
        )


@dataclass(frozen=True)
class Recreated:
    """The topic was deleted and re-created: it has another id, or ends before what was read.

    Args:
        read_to: the next offset to read in the old topic.
        end: where the log ends now.
    """

    read_to: int
    end: int

    level: ClassVar = logging.WARNING

    def message(self, tp: TP) -> str:
        """What to log."""
        if self.end >= self.read_to:
            return (
                f"{tp.topic}/{tp.partition} was deleted and re-created since it was read up to "
                f"offset {self.read_to}. Reading it from its start."
            )
        return (
            f"{tp.topic}/{tp.partition} was read up to offset {self.read_to}, but ends at "
            f"{self.end}: it was deleted and re-created, or another client of the group has "
            "committed that offset. Reading it from its start."
        )


@dataclass(frozen=True)
class Overwritten:
    """Kafka lost the end of the log and has other records there.

    Args:
        read_to: the next offset to read in the old log.
        cut: the offset from which on the records are other ones.
    """

    read_to: int
    cut: int

    level: ClassVar = logging.ERROR

    def message(self, tp: TP) -> str:
        """What to log."""
        return (
            f"{tp.topic}/{tp.partition} was read up to offset {self.read_to}, but {_LOST_END}: "
            f"what it has from offset {self.cut} on is new, and is read."
        )


@dataclass(frozen=True)
class Shortened:
    """The log ends before what was read, and the topic has the same id.

    Args:
        read_to: the next offset to read, as committed.
        end: where the log ends now.
    """

    read_to: int
    end: int

    level: ClassVar = logging.ERROR

    def message(self, tp: TP) -> str:
        """What to log."""
        return (
            f"{tp.topic}/{tp.partition} was read up to offset {self.read_to}, but ends at "
            f"{self.end}: {_LOST_END}, or another client of the group has committed that offset. "
            "Reading it from its start."
        )


@dataclass(frozen=True)
class Overtaken:
    """Another client of the group has committed an offset up to which this worker has not read.

    Args:
        finished: the next offset to read.
        committed: the offset that was committed.
    """

    finished: int
    committed: int

    level: ClassVar = logging.ERROR

    def message(self, tp: TP) -> str:
        """What to log."""
        return (
            f"Another client of the group has committed offset {self.committed} of {tp.topic}/"
            f"{tp.partition}, which this worker has read up to offset {self.finished}: reading on "
            "from there. Find out who it is: whoever has the right Read on the group can make the "
            "workers pass over records."
        )


Change: TypeAlias = Expired | Recreated | Overwritten | Shortened | Overtaken


@dataclass(frozen=True)
class Own:
    """How far this worker was with a partition.

    Args:
        finished: the offset up to which it has finished everything.
        committed: the greatest offset that the group may have without anybody else's doing. It is
            greater after the worker has gone back in the log, until a commit of that gets through.
    """

    finished: int
    committed: int


@dataclass(frozen=True)
class Start:
    """Where to resume reading a partition.

    Args:
        offset: of the first record to read.
        change: what happened to the log since the last commit, if anything.
    """

    offset: int
    change: Change | None = None


def start(
    committed: int | None,
    earliest: int,
    end: int,
    cut: int | None = None,
    own: Own | None = None,
    *,
    recreated: bool | None = None,
) -> Start:
    """Where to resume reading a partition.

    Args:
        committed: the offset that the group has committed; None if it never has.
        earliest: where the log begins.
        end: where the log ends.
        cut: the offset from which on the log has other records than those that were read, or None.
        own: how far this worker was, if it had the partition up to now; otherwise None.
        recreated: whether the log is of another topic than the offsets; None if that is not known.
    """
    if committed is None:
        return Start(earliest)
    if recreated:
        return Start(earliest, Recreated(committed, end))
    # Beyond the end may also mean that the topic was re-created. Then what this worker has finished
    # is of the old one, too, and nothing may be passed over.
    possible = committed <= end or recreated is False
    if possible and own is not None and own.finished < committed and own.finished <= end:
        read_to = own.finished if cut is None else min(own.finished, cut)
        change = expired(read_to, earliest) or _since(own, committed, cut)
        return Start(max(read_to, earliest), change)
    if committed > end and not (recreated is False and cut is not None):
        return Start(earliest, _shorter(committed, end, recreated))
    if cut is not None:
        return Start(max(cut, earliest), Overwritten(committed, cut))
    return Start(max(committed, earliest), expired(committed, earliest))


def passed(
    expected: int,
    earliest: int,
    end: int,
    came: int | None,
    cut: int | None = None,
    *,
    recreated: bool | None = None,
) -> Start | None:
    """Where to go on with a partition that has no records at its position.

    Args:
        expected: the position.
        earliest: where the log begins.
        end: where the log ends.
        came: the offset of the first record that came instead; None if none has come.
        cut: the offset from which on the same topic has lost what was read, or None.
        recreated: False if it is known to be the same topic; None if that is not known.

    Returns:
        None if there is no reason to go on elsewhere: a broker that lags or lies has told something
        else before, or records have come twice.
    """
    if came is None:
        return Start(earliest, expired(expected, earliest)) if expected < earliest <= end else None
    if came < expected and cut is not None and cut < expected:
        return Start(max(cut, earliest), Overwritten(expected, cut))
    if came < expected:
        # The fetcher has reset itself to the start of a log that ends before the position.
        return Start(came, _shorter(expected, end, recreated)) if end < expected else None
    return Start(came, expired(expected, min(earliest, came)))


def _since(own: Own, committed: int, cut: int | None) -> Change | None:
    """What has happened to a partition of which more is committed than this worker has finished."""
    if committed > own.committed:
        return Overtaken(own.finished, committed)
    # It has gone back since, and has said so; the log may have lost more by now.
    return Overwritten(own.finished, cut) if cut is not None and cut < own.finished else None


def expired(expected: int, earliest: int) -> Expired | None:
    """What retention deleted before it was read; None if the expected offset is still there."""
    return Expired(expected, earliest - 1) if earliest > expected else None


def _shorter(read_to: int, end: int, recreated: bool | None) -> Change:  # noqa: FBT001
    """What has become of a log that ends before what was read, and was cut nobody knows where."""
    return Shortened(read_to, end) if recreated is False else Recreated(read_to, end)
