"""A record that was set aside, with where it came from and why."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Self

import faust

from models.reasons import RejectReason

Header = tuple[str, bytes | None]

_PREFIX = "dead-letter-"
_ORIGINAL = "original-"

ATTEMPTS = "dead-letter-attempts"
"""Header of a document that was replayed: how often it has been. It counts on the internal topic
only, where nobody else writes; for records of OpenWhisk's topics, the log of replays counts."""

REPLAY_OF = "dead-letter-replay-of"
"""Header of a replayed record: which dead letter it was."""

_natural = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_OVER_LARGEST = 2**63
"""Kafka's numbers are of 64 bits, and so are those of what counts letters (`app.audit`)."""


class DeadLetter(faust.Record, include_metadata=False):
    """What a dead letter keeps: key, value and headers as they came, the rest as headers.

    Faust's own codec cannot carry raw bytes, so a dead letter is not JSON: its Kafka record has the
    key and the value of the original one, and can be sent again as it is.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Of the original record, in epoch millis."""

    reason: RejectReason
    detail: str
    """For a person: which field or rule, never what was in the record."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header] = ()
    """Of the original record."""

    attempts: int = 0
    """How often the record has been replayed before it was set aside again."""

    left_out: str | None = None
    """Size and hash of a value that did not fit into the dead-letter topic; key and headers are
    left out with it. `None`: the letter is complete."""

    def shortened(self) -> Self:
        """The same without key, value and headers, but with what tells which value it was."""
        value = self.value or b""
        hash_ = hashlib.sha256(value).hexdigest()
        return self.derive(
            key=None, value=None, headers=(), left_out=f"{len(value)} bytes, SHA-256 {hash_}"
        )

    def to_headers(self) -> list[Header]:
        """The headers of the dead letter's own Kafka record."""
        own = letter_headers(
            *(self.topic, self.partition, self.offset, self.timestamp),
            reason=self.reason,
            detail=self.detail,
            headers=self.headers,
            attempts=self.attempts,
        )
        if self.left_out is not None:
            own.append((_PREFIX + "left-out", self.left_out.encode()))
        return own

    def replay_headers(self, name: str) -> list[Header]:
        """The headers of the record when it is sent again; `name` is this letter's.

        The count is only for display; see `ATTEMPTS` for where it is trusted.
        """
        own: list[Header] = [
            (ATTEMPTS, str(self.attempts + 1).encode()),
            (REPLAY_OF, name.encode()),
        ]
        return [*self.headers, *own]

    @classmethod
    def from_record(
        cls, key: bytes | None, value: bytes | None, headers: Iterable[Header] | None
    ) -> Self:
        """Read a dead letter's Kafka record; raises `ValueError` when it is not one."""
        about: dict[str, str] = {}
        original: list[Header] = []
        for name, content in headers or ():
            if name.startswith(_ORIGINAL):
                original.append((name.removeprefix(_ORIGINAL), content))
            elif name.startswith(_PREFIX) and content is not None:
                about[name.removeprefix(_PREFIX)] = content.decode()
        try:
            return cls(
                topic=about["topic"],
                partition=_number(about["partition"]),
                offset=_number(about["offset"]),
                timestamp=_number(about["timestamp"]),
                reason=RejectReason(about["reason"]),
                detail=about["detail"],
                key=key,
                value=value,
                headers=tuple(original),
                # Letters of earlier versions have none.
                attempts=_number(about.get("attempts", "0")),
                left_out=about.get("left-out"),
            )
        except KeyError as missing:
            raise ValueError(f"not a dead letter: no header {_PREFIX}{missing.args[0]}") from None


def letter_headers(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    *,
    reason: RejectReason,
    detail: str,
    headers: Sequence[Header],
    attempts: int,
) -> list[Header]:
    """The headers of a dead letter's Kafka record; the parameters are its fields.

    Takes a tenth of the time of making a `DeadLetter` first: whoever may write to a topic decides
    how many there are. Most of them differ in nothing but the offset.
    """
    own = [
        *_place(topic, partition),
        (_PREFIX + "offset", b"%d" % offset),
        (_PREFIX + "timestamp", b"%d" % timestamp),
        *_why(reason, detail, attempts),
    ]
    return own + [(_ORIGINAL + name, value) for name, value in headers] if headers else own


@lru_cache(maxsize=64)
def _place(topic: str, partition: int) -> tuple[Header, ...]:
    return (
        (_PREFIX + "topic", topic.encode()),
        (_PREFIX + "partition", b"%d" % partition),
    )


@lru_cache(maxsize=64)
def _why(reason: RejectReason, detail: str, attempts: int) -> tuple[Header, ...]:
    return (
        (_PREFIX + "reason", reason.encode()),
        (_PREFIX + "detail", detail.encode()),
        (ATTEMPTS, b"%d" % attempts),
    )


def without_replay(headers: Sequence[Header]) -> Sequence[Header]:
    """The headers of a consumed record without what replaying added; none of them is believed."""
    if not any(name.startswith(_PREFIX) for name, _ in headers):
        return headers
    return tuple(header for header in headers if header[0] not in _OF_REPLAY)


def true_headers(headers: Sequence[Header]) -> tuple[Sequence[Header], int]:
    """The same for a record of a topic that only the persister writes to, and how often it came.

    A dead letter that some other tool copied there as it is counts as a replay of it.
    """
    if not any(name.startswith(_PREFIX) for name, _ in headers):
        return headers, 0
    try:
        copied = DeadLetter.from_record(None, None, headers)
    except ValueError:
        counts = [_count(value) for name, value in headers if name == ATTEMPTS]
        return without_replay(headers), max(counts, default=0)
    return copied.headers, copied.attempts + 1


_OF_REPLAY = (ATTEMPTS, REPLAY_OF)


def _number(text: str) -> int:
    number = int(text) if _natural.fullmatch(text) else None
    if number is None or not -_OVER_LARGEST <= number < _OVER_LARGEST:
        raise ValueError("not a dead letter: a number in its headers is none of Kafka's")
    return number


def _count(value: bytes | None) -> int:
    """A count in a header; 0 when it is none."""
    return int(value) if value and value.isdigit() and len(value) < len(str(2**31)) else 0
