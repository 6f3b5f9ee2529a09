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
"""From the first change of an entry to its sending, while there are more; as often as offsets are
committed."""

REMIND_SECONDS = 600.0
"""Between two lines that Kafka does not take what the guard remembers."""


class GuardTable(faust.Table[str, bytes]):
    """Sends an entry once in a while, and before a commit, instead of at each of its changes.

    Where records come one by one, an entry grows by one digest some hundred times a second, and
    Faust sends all of it each time. What was not sent when a worker is killed is not committed
    either: these records come again, and the database answers for them.

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
        """Why Kafka does not take what is sent; empty while it does."""
        self._explain = explain
        self._said_at = -REMIND_SECONDS
        self._clock = clock
        self._changed: dict[str, bytes] = {}
        self._changed_at = 0.0

    def partition_for_key(self, key: str) -> int:
        """The partition that an entry belongs to, which its key tells; Faust takes the event's."""
        return int(key.partition("/")[0])

    def on_key_set(self, key: str, value: bytes) -> None:
        """Note that an entry has changed, and send what has for long enough."""
        now = self._clock()
        if not self._changed:
            self._changed_at = now
        self._changed[key] = value
        if now - self._changed_at >= SEND_SECONDS:
            self.send_changes()

    def on_key_del(self, key: str) -> None:
        """Have an entry removed; what it was changed to needs not be sent any more."""
        self._changed.pop(key, None)
        super().on_key_del(key)

    def send_changes(self) -> None:
        """Send what has changed, for Faust's producer to flush."""
        changed, self._changed = self._changed, {}
        for key, value in changed.items():
            sent = self.send_changelog(self.partition_for_key(key), key, value)
            sent.add_done_callback(self._on_answer)

    def _on_answer(self, sent: "Future[Any]") -> None:
        """Note whether Kafka has taken an entry; Faust logs each one that it has not."""
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
