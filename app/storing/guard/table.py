"""The guard's table, whose changes are sent to Kafka some at a time."""

import logging
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import faust

if TYPE_CHECKING:
    from asyncio import Future

logger = logging.getLogger(__name__)

SEND_SECONDS = 1.0
"""Seconds from the first change until changes are sent, as long as more follow; about as often as
offsets are committed.
"""

REMIND_SECONDS = 600.0
"""Seconds between two warnings that Kafka does not take the guard's entries."""


class GuardTable(faust.Table[str, bytes]):
    """Sends changed entries now and then, and before commits, instead of at every change.

    When records come one by one, an entry grows by one digest hundreds of times a second, and Faust
    would send the whole entry each time. If a worker is killed before it has sent its changes, the
    records are not committed either: they are delivered again, and the database catches the
    duplicates.

    Args:
        explain: why Kafka does not take an entry, and what to do; without a full stop.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *args: Any,
        explain: Callable[[BaseException], str] = repr,
        clock: Callable[[], float] = monotonic,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.trouble = ""
        """Why Kafka does not take entries; empty while it does."""
        self._explain = explain
        self._said_at = -REMIND_SECONDS
        self._clock = clock
        self._changed: dict[str, bytes] = {}
        self._changed_at = 0.0

    def partition_for_key(self, key: str) -> int:
        """The partition in the entry's key; Faust takes that of the current event."""
        return int(key.partition("/")[0])

    async def on_recovery_completed(self, *_: Any) -> None:
        """Keep all entries: the guard has just indexed its own, and dropped those of others.

        Faust would drop those of partitions whose changelog is not assigned. The leader of the
        group, which anybody may be who may join it, can assign a partition of the internal topic
        without that of the changelog, and a leader that may not describe the changelog does. What
        stands in the table is true all the same; of what others have stored meanwhile the guard
        knows nothing, and the database tells.
        """
        store: Any = self.data
        store._key_partition.clear()  # noqa: SLF001 - only what Faust would drop is looked up there
        await self.call_recover_callbacks()

    def on_key_set(self, key: str, value: bytes) -> None:
        """Note a changed entry; sends all changes once the first is `SEND_SECONDS` old."""
        now = self._clock()
        if not self._changed:
            self._changed_at = now
        self._changed[key] = value
        if now - self._changed_at >= SEND_SECONDS:
            self.send_changes()

    def on_key_del(self, key: str) -> None:
        """Remove an entry, and drop its unsent changes."""
        self._changed.pop(key, None)
        super().on_key_del(key)

    def send_changes(self) -> None:
        """Hand all changed entries to Faust's producer."""
        changed, self._changed = self._changed, {}
        for key, value in changed.items():
            sent = self.send_changelog(self.partition_for_key(key), key, value)
            sent.add_done_callback(self._on_answer)

    def _on_answer(self, sent: "Future[Any]") -> None:
        """Note whether Kafka has taken an entry; Faust would log every one that it has not."""
        if sent.cancelled():
            return
        error = sent.exception()
        if error is not None:
            self.trouble = self._explain(error)
            if self._clock() - self._said_at >= REMIND_SECONDS:
                self._said_at = self._clock()
                logger.warning(
                    "What the guard remembers is not written to Kafka: %s. Records are stored all "
                    "the same; after a restart, the database is asked about those that come again.",
                    self.trouble,
                )
        elif self.trouble:
            self.trouble, self._said_at = "", -REMIND_SECONDS
            logger.info("What the guard remembers is written to Kafka again.")
