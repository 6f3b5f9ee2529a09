"""Works around a table recovery that never ends because of one record in the changelog.

Recovery is over when the last record has been counted as read. Faust counts one that it has
decoded; another raises in the queue of the changelog and is never counted.

Seen in faust-streaming 0.15.3. Not reported as such.

- Symptom: the worker waits for the guard's table for ever, with one change left, and so does every
  worker after it.
- Reproduction: a record whose key is no JSON (`nokey`) in `<app id>-guard-changelog`; a start.
- Mend: a schema that decodes every record. What is no entry of the table comes under `NO_ENTRY`,
  and whoever reads the table passes over it.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from faust import Schema
from faust.exceptions import KeyDecodeError

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
        self._told: set[tuple[str, int]] = set()

    def loads_key(self, app: Any, message: Any, **options: Any) -> str:
        """The key of an entry, or `NO_ENTRY`."""
        try:
            key = super().loads_key(app, message, **options)
        except KeyDecodeError:
            key = None
        if isinstance(key, str) and (message.value is None or self._is_entry(key, message.value)):
            return key
        if message.value is not None:
            self._tell(message)
        return NO_ENTRY

    def _tell(self, message: Any) -> None:
        """Log once per partition, because every worker reads the record at every start."""
        tp = message.tp
        if tp in self._told:
            return
        self._told.add(tp)
        logger.warning(
            "%s: partition %d, offset %d is no entry of the guard: somebody else has written it. "
            "Passing over it, and over further ones there. Let nobody but the persister write to "
            "this topic",
            *(tp.topic, tp.partition, message.offset),
        )
