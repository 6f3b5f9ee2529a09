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
  the table can need. What is no entry of the table comes under `NO_ENTRY`, and whoever reads the
  table passes over it.
"""

import logging
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

    Args:
        is_entry: tells whether a key and a value, as they stand in Kafka, are those of an entry of
            a partition; a value of None: of one that is gone.
        most: how many entries a partition may have.
        most_bytes: how many bytes their values may have.
    """

    def __init__(
        self,
        is_entry: Callable[[int, bytes | None, bytes | None], bool],
        most: int,
        most_bytes: int,
    ) -> None:
        self._is_entry = is_entry
        self._most = most
        self._most_bytes = most_bytes
        self._read: dict[TP, _Read] = {}
        self._told: set[TP] = set()

    def sift(self, tp: TP, records: Sequence[Any]) -> list[Any]:
        """Those of a changelog's next records that its table needs, in the same order."""
        if not records:
            return []
        read = self._read.get(tp)
        # Faust goes on with the last record that it has read, or begins at the start again.
        if read is None or records[0].offset < read.end - 1:
            read = self._read[tp] = _Read()
        read.end = records[-1].offset + 1
        wanted: dict[bytes, Any] = {}
        others = []
        for record in records:
            key, value = record.key, record.value
            if not self._is_entry(tp.partition, key, value):
                if value is not None or isinstance(record, Unreadable):
                    others.append(record.offset)
            elif value is None:
                if key in read.sizes:
                    read.drop(key)
                    wanted.pop(key, None)
                    wanted[key] = record
            elif read.keep(key, len(value), self._most, self._most_bytes):
                wanted.pop(key, None)
                wanted[key] = record
            else:
                others.append(record.offset)
        if others:
            self._tell(tp, others)
        return list(wanted.values())

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
            "%s: partition %d, offset %d is no entry of the guard, or one more than it can need "
            "(with it %d of the records read together): somebody else has written it. Passing "
            "over it, and over further ones there. Let nobody but the persister write to this "
            "topic",
            *(tp.topic, tp.partition, offsets[0], len(offsets)),
        )


class _Read:
    """The keys of the entries that were passed on, and how many bytes their values have."""

    def __init__(self) -> None:
        self.end = 0
        self.sizes: dict[bytes, int] = {}
        self._bytes = 0

    def keep(self, key: bytes, size: int, most: int, most_bytes: int) -> bool:
        """Count an entry in; returns False if there is no room for it."""
        before = self.sizes.get(key)
        in_all = self._bytes + size - (before or 0)
        if in_all > most_bytes or (before is None and len(self.sizes) >= most):
            return False
        self.sizes[key] = size
        self._bytes = in_all
        return True

    def drop(self, key: bytes) -> None:
        self._bytes -= self.sizes.pop(key)
