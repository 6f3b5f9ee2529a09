"""Setting records aside: into the dead-letter topic, byte for byte, with where and why.

A document that was replayed and is set aside again keeps its own headers and the count of replays.
Of a record that others may have written, no header is believed, whatever it is called.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from faust.types import TP
from mode import get_logger

from app.kafka.producer import BatchProducer, Outgoing
from models.dead_letter import DeadLetter, true_headers, without_replay
from models.reasons import RejectReason

logger = get_logger(__name__)


class SetAside(NamedTuple):
    """A consumed record and why it cannot be stored."""

    record: Any
    """With offset, timestamp, key, value and headers."""

    reason: RejectReason
    detail: str


class DeadLetterTooLargeError(Exception):
    """The dead-letter topic does not take the record either; going on would lose it."""


class DeadLetters:
    """Writes to the dead-letter topic.

    Args:
        producer: Sends them.
        topic: The dead-letter topic.
        ours: The topics that only the persister writes to: there its own headers are believed.
    """

    def __init__(self, producer: BatchProducer, topic: str, ours: Collection[str] = ()) -> None:
        self._producer = producer
        self._topic = topic
        self._ours = ours

    async def write(self, tp: TP, set_aside: Sequence[SetAside]) -> None:
        """Write records of a partition; returns when all are acknowledged.

        Raises:
            DeadLetterTooLargeError: the topic's `max.message.bytes` is too small for one of them.
        """
        if not set_aside:
            return
        too_large = await self._producer.send(
            self._topic, [self._outgoing(tp, one) for one in set_aside]
        )
        if too_large:
            sizes = sorted(len(letter.value or b"") for letter in too_large)
            raise DeadLetterTooLargeError(
                f"{len(too_large)} records of up to {sizes[-1]} bytes do not fit into "
                f"{self._topic}: raise its max.message.bytes and PERSISTER_MAX_RECORD_BYTES"
            )
        _log(self._topic, tp, set_aside)

    def _outgoing(self, tp: TP, set_aside: SetAside) -> Outgoing:
        record, reason, detail = set_aside
        if tp.topic in self._ours:
            headers, attempts = true_headers(record.headers)
        else:
            headers, attempts = without_replay(record.headers), 0
        letter = DeadLetter(
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            reason=reason,
            detail=detail,
            key=record.key,
            value=record.value,
            headers=tuple(headers),
            attempts=attempts,
        )
        return Outgoing(record.key, record.value, letter.to_headers())


def _log(topic: str, tp: TP, set_aside: Sequence[SetAside]) -> None:
    """One line for a chunk's dead letters."""
    first, last = set_aside[0].record, set_aside[-1].record
    counts = Counter(letter.reason.value for letter in set_aside)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    logger.warning(
        "Set aside %d records of %s/%d, offsets %d to %d, in %s: %s. First: %s",
        *(len(set_aside), tp.topic, tp.partition, first.offset, last.offset, topic, reasons),
        set_aside[0].detail,
    )
