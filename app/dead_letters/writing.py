"""Sends records to the dead-letter topic, byte for byte, with their place and the reason.

A replayed document that is set aside again keeps its headers and its count of replays. Headers of
records that others may have written are never trusted.
"""

import hashlib
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from faust.types import TP
from mode import get_logger
from msgspec import Struct

from app.kafka.producer import BatchProducer, Outgoing
from app.kafka.records import Record
from app.kafka.unreadable import Unreadable
from app.process.printable import printable
from app.process.words import counted
from models.dead_letter import (
    DeadLetter,
    Header,
    letter_headers,
    true_headers,
    without_replay,
)
from models.reasons import RejectReason

logger = get_logger(__name__)

_SHOWN_OFFSETS = 10

_TOGETHER = 1000
"""How many letters to build at a time: each takes some kilobytes, however small its record."""


class SetAside(Struct, frozen=True):
    """A consumed record, and why it cannot be stored."""

    record: Record
    reason: RejectReason
    detail: str


class Latest(NamedTuple):
    """A record that was set aside, as the status page shows it."""

    at: float
    """In epoch seconds."""
    place: str
    reason: RejectReason
    detail: str


LATEST = 10
"""How many of the latest dead letters a worker remembers."""


def aside(record: Record, reason: RejectReason, detail: str) -> SetAside:
    """Set aside a record for this reason, or as unreadable if its batch was not unpacked."""
    if isinstance(record, Unreadable):
        return SetAside(record, RejectReason.UNREADABLE, record.why)
    return SetAside(record, reason, detail)


def unforeseen(tp: TP, record: Record, error: Exception) -> SetAside:
    """Set aside a record on which the persister itself failed: a defect must not end the worker.

    Each kind of error is logged once with its traceback, but without its message, which may quote
    the record.

    Raises:
        MemoryError: it is the error, for which no record is to blame.
    """
    if isinstance(error, MemoryError):
        raise error
    frames = traceback.extract_tb(error.__traceback__)
    where = (type(error).__name__, frames[-1].filename, frames[-1].lineno or 0)
    if where not in _told and len(_told) < _MOST_TOLD:
        _told.add(where)
        logger.error(
            "A defect: %s at %s/%d, offset %d. The record is set aside; further ones of this kind "
            "are only counted. Please report it, with this traceback:\n%s",
            *(where[0], tp.topic, tp.partition, record.offset, "".join(frames.format())),
            extra={"kind": where},
        )
    found = f"{where[0]} in line {where[2]} of {Path(where[1]).name}"
    hash_ = hashlib.sha256(record.value or b"").hexdigest()
    return SetAside(record, RejectReason.UNFORESEEN, f"{found}; SHA-256 of the value {hash_}")


_told: set[tuple[str, str, int]] = set()
_MOST_TOLD = 100


class DeadLetterTooLargeError(Exception):
    """The dead-letter topic does not even accept a letter that only says where a record is."""


class DeadLetters:
    """Writes to the dead-letter topic.

    Args:
        producer: sends the letters.
        topic: the dead-letter topic.
        ours: the topics that only the persister writes to, where its own headers are trusted.
    """

    def __init__(self, producer: BatchProducer, topic: str, ours: Collection[str] = ()) -> None:
        self._producer = producer
        self._topic = topic
        self._ours = ours
        self.latest: deque[Latest] = deque(maxlen=LATEST)
        """The latest dead letters, newest last."""

    async def write(self, tp: TP, set_aside: Sequence[SetAside]) -> int:
        """Write records of a partition; returns once all are acknowledged.

        Returns:
            For how many records only place, size and hash were written, because the topic does not
            take the record itself.

        Raises:
            DeadLetterTooLargeError: the topic does not even take these; its `max.message.bytes` is
            absurdly small.
        """
        if not set_aside:
            return 0
        shortened = 0
        for start in range(0, len(set_aside), _TOGETHER):
            shortened += await self._write(tp, set_aside[start : start + _TOGETHER])
        _log(self._topic, tp, set_aside)
        now = time.time()
        for one in set_aside[-LATEST:]:
            place = f"{tp.topic}/{tp.partition} offset {one.record.offset}"
            self.latest.append(Latest(now, place, one.reason, one.detail))
        return shortened

    async def _write(self, tp: TP, set_aside: Sequence[SetAside]) -> int:
        """Write some letters; returns how many had to be shortened."""
        outgoing = [self._outgoing(tp, one) for one in set_aside]
        refused = {id(one) for one in await self._producer.send(self._topic, outgoing)}
        if refused:
            pairs = zip(set_aside, outgoing, strict=True)
            letters = [self._letter(tp, one) for one, sent in pairs if id(sent) in refused]
            await self._shorten(tp, letters)
        return len(refused)

    async def _shorten(self, tp: TP, letters: Sequence[DeadLetter]) -> None:
        shortened = [Outgoing(None, None, one.shortened().to_headers()) for one in letters]
        if await self._producer.send(self._topic, shortened):
            raise DeadLetterTooLargeError(
                f"{self._topic} does not even take a letter that only says where a record is "
                f"(offset {letters[0].offset} of {tp.topic}/{tp.partition}): raise "
                f"max.message.bytes of {self._topic}"
            )
        logger.error(
            "%s of %s/%d too large for %s, which now says only where they are, how large "
            "and with which hash: offsets %s. They stay in %s until its retention deletes them; "
            "raise max.message.bytes of %s and PERSISTER_MAX_RECORD_BYTES.",
            *(counted(len(letters), "record"), tp.topic, tp.partition, self._topic),
            ", ".join(str(letter.offset) for letter in letters[:_SHOWN_OFFSETS]),
            *(tp.topic, self._topic),
        )

    def _outgoing(self, tp: TP, set_aside: SetAside) -> Outgoing:
        record = set_aside.record
        original, attempts = self._original(tp, record) if record.headers else ((), 0)
        headers = letter_headers(
            *(tp.topic, tp.partition, record.offset, record.timestamp),
            reason=set_aside.reason,
            detail=set_aside.detail,
            headers=original,
            attempts=attempts,
        )
        return Outgoing(record.key, _value(record), headers)

    def _letter(self, tp: TP, set_aside: SetAside) -> DeadLetter:
        record = set_aside.record
        headers, attempts = self._original(tp, record)
        return DeadLetter(
            topic=tp.topic,
            partition=tp.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            reason=set_aside.reason,
            detail=set_aside.detail,
            key=record.key,
            value=_value(record),
            headers=headers,
            attempts=attempts,
        )

    def _original(self, tp: TP, record: Record) -> tuple[Sequence[Header], int]:
        """The headers that a record came with, and how often it has been replayed."""
        if not record.headers:
            return (), 0
        if tp.topic in self._ours:
            return true_headers(record.headers)
        return without_replay(record.headers), 0


def _value(record: Record) -> bytes | None:
    return record.encoded if isinstance(record, Unreadable) else record.value


def _log(topic: str, tp: TP, set_aside: Sequence[SetAside]) -> None:
    """Log a line for each reason, with the first record; `Seldom` lets few of them pass."""
    by_reason: defaultdict[RejectReason, list[SetAside]] = defaultdict(list)
    for one in set_aside:
        by_reason[one.reason].append(one)
    for reason, letters in by_reason.items():
        logger.warning(
            "Sent %s to the dead-letter topic %s: %s, %s",
            *(_described(tp, letters), topic, reason.value, printable(letters[0].detail)),
            extra={"kind": reason.value},
        )


def _described(tp: TP, set_aside: Sequence[SetAside]) -> str:
    """How many records, and where they are."""
    offsets = [letter.record.offset for letter in set_aside]  # in the order in which they ended
    place = f"{tp.topic}/{tp.partition}"
    if len(set_aside) == 1:
        return f"1 record of {place} offset {offsets[0]}"
    return f"{len(set_aside)} records of {place} offsets {min(offsets)} to {max(offsets)}"
