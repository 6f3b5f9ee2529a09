"""Works around a table recovery that never ends because of one record in the changelog.

Recovery is over when the last record has been counted as read. Faust counts one that it has
decoded; another raises in the queue of the changelog and is never counted. And it takes a tenth of
a millisecond and a kilobyte for each record, whatever it is: whoever may write to the changelog has
a start take minutes with a megabyte.

Seen in faust-streaming 0.15.3. Not reported as such.

- Symptom: the worker waits for the guard's table for ever, with one change left, and so does every
  worker after it.
- Reproduction: a record whose key is no JSON (`nokey`) in `<app id>-guard-changelog`; a start.
- Mend: a schema that decodes every record, and a sieve in front of Faust, which passes on only what
  the table can need: of too much, the newest. What is no entry of the table comes under `NO_ENTRY`,
  and whoever reads the table passes over it.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from faust import Schema
from faust.exceptions import KeyDecodeError
from faust.types import TP

from app.kafka.unreadable import Unreadable

logger = logging.getLogger(__name__)

NO_ENTRY: Final = ""
"""The key of a record that is not an entry."""


class EntrySchema(Schema[str, bytes]):
    """Reads keys as JSON strings and values as bytes, whatever is in the topic.

    Args:
        is_entry: tells whether a key and a value are those of an entry.
    """

    def __init__(self, is_entry: Callable[[str, bytes], bool]) -> None:
        super().__init__(key_type=str, value_type=bytes, key_serializer="json")
        self._is_entry = is_entry

    def loads_key(self, app: Any, message: Any, **options: Any) -> str:
        """The key of an entry, or `NO_ENTRY`."""
        try:
            key = super().loads_key(app, message, **options)
        except KeyDecodeError:
            key = None
        if isinstance(key, str) and (message.value is None or self._is_entry(key, message.value)):
            return key
        return NO_ENTRY


class Sieve:
    """Passes on the last entry of each key, as long as there are not too many.

    While there is room, entries are passed on as they come. Once half of it is taken, the newest of
    those that follow are held back until the changelog has been read, so that it is the oldest that
    are left out: an operator may have allowed the guard fewer records than before. Which ones are
    the newest is not known sooner, and each one that is passed on costs its time and memory.

    Args:
        is_entry: tells whether a key and a value, as they stand in Kafka, are those of an entry of
            a partition; a value of None: of one that is gone.
        most: how many entries a partition may have.
        most_bytes: how many bytes their values may have.
        end: the offset with which a changelog has been read; None if that is not known.
    """

    def __init__(
        self,
        is_entry: Callable[[int, bytes | None, bytes | None], bool],
        most: int,
        most_bytes: int,
        end: Callable[[TP], int | None],
    ) -> None:
        self._is_entry = is_entry
        self._end = end
        self._most = most - most // 2
        self._most_bytes = most_bytes - most_bytes // 2
        self._read: dict[TP, _Read] = {}
        self._told: set[TP] = set()

    def sift(self, tp: TP, records: Sequence[Any], last: int) -> tuple[list[Any], int]:
        """Those of a changelog's next records that its table needs, in the same order.

        Args:
            tp: a partition of the changelog.
            records: what was fetched.
            last: the last offset that was fetched, which may have no record.

        Returns:
            The records, and the offset up to which the changelog counts as read with them. Those
            that were held back have other offsets than in Kafka, in the same order: Faust takes
            only offsets that grow.
        """
        read = self._read.get(tp)
        if read is None:
            read = self._read[tp] = _Read(self._most, self._most_bytes)
        wanted: dict[bytes, Any] = {}
        others = []
        for record in records:
            key, value = record.key, record.value
            if not self._is_entry(tp.partition, key, value):
                if value is not None or isinstance(record, Unreadable):
                    others.append(record.offset)
            elif read.take(record):
                wanted.pop(key, None)
                wanted[key] = record
        if others:
            self._tell(tp, others)
        passed = list(wanted.values())
        end = self._end(tp)
        if end is None or last >= end:
            passed += read.release(last)
        return passed, last - len(read.held)

    def forget(self, partitions: Iterable[TP]) -> None:
        """Begin anew with these: their tables do when they are assigned again."""
        for tp in partitions:
            self._read.pop(tp, None)

    def _tell(self, tp: TP, offsets: list[int]) -> None:
        """Log once per partition, because every worker reads the records at every start."""
        if tp in self._told:
            return
        self._told.add(tp)
        logger.warning(
            "%s: partition %d, offset %d is no entry of the guard (with it %d of the records read "
            "together): somebody else has written it. Passing over it, and over further ones "
            "there. Let nobody but the persister write to this topic",
            *(tp.topic, tp.partition, offsets[0], len(offsets)),
        )


class _Read:
    """What was passed on of a changelog, and what is held back.

    Args:
        most: how many entries may be passed on as they come, and how many be held back.
        most_bytes: how many bytes their values may have.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.held: OrderedDict[bytes, Any] = OrderedDict()
        self._most = most
        self._most_bytes = most_bytes
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0
        self._held_bytes = 0
        self._full = False

    def take(self, record: Any) -> bool:
        """Whether a record is to be passed on at once; holds it back if its table may need it."""
        key, value = record.key, record.value
        if self._full:
            self._hold(record)
            return False
        before = self._sizes.get(key)
        if value is None:
            if before is not None:
                self._bytes -= self._sizes.pop(key)
            return before is not None
        in_all = self._bytes + len(value) - (before or 0)
        if in_all > self._most_bytes or (before is None and len(self._sizes) >= self._most):
            # From here on all are held back, or an older one would follow a newer one.
            self._full = True
            self._hold(record)
            return False
        self._sizes[key] = len(value)
        self._bytes = in_all
        return True

    def _hold(self, record: Any) -> None:
        """Hold back an entry in place of the one before of its key, and drop the oldest."""
        before = self.held.pop(record.key, None)
        self._held_bytes += len(record.value or b"") - len((before and before.value) or b"")
        if record.value is not None or record.key in self._sizes:
            self.held[record.key] = record
        while len(self.held) > self._most or self._held_bytes > self._most_bytes:
            _, oldest = self.held.popitem(last=False)
            self._held_bytes -= len(oldest.value or b"")

    def release(self, last: int) -> list[Any]:
        """What was held back, numbered up to the last offset; nothing is held any more."""
        first = last - len(self.held) + 1
        released = [_Held(first + at, one) for at, one in enumerate(self.held.values())]
        self.held.clear()
        self._held_bytes = 0
        return released


class _Held:
    """A record under another offset, which is not before one that was passed on earlier."""

    headers = ()
    checksum = None

    def __init__(self, offset: int, record: Any) -> None:
        self.offset = offset
        self.timestamp: int = record.timestamp
        self.timestamp_type: int = record.timestamp_type
        self.key: bytes = record.key
        self.value: bytes | None = record.value
