"""A record that was set aside, with where it came from and why."""

from collections.abc import Iterable, Sequence
from typing import Self

import faust

from models.reasons import RejectReason

Header = tuple[str, bytes | None]

_PREFIX = "dead-letter-"
_ORIGINAL = "original-"

ATTEMPTS = "dead-letter-attempts"
"""Header of a replayed record: how often it has been replayed. It travels to the internal topic and
into the next dead letter, so that a record that is rejected again and again is noticed."""

REPLAY_OF = "dead-letter-replay-of"
"""Header of a replayed record: which dead letter it was."""


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

    def to_headers(self) -> list[Header]:
        """The headers of the dead letter's own Kafka record."""
        about = {
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "timestamp": str(self.timestamp),
            "reason": self.reason.value,
            "detail": self.detail,
            "attempts": str(self.attempts),
        }
        own: list[Header] = [(_PREFIX + name, text.encode()) for name, text in about.items()]
        return own + [(_ORIGINAL + name, value) for name, value in self.headers]

    def replay_headers(self, name: str) -> list[Header]:
        """The headers of the record when it is sent again; `name` is this letter's."""
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
                partition=int(about["partition"]),
                offset=int(about["offset"]),
                timestamp=int(about["timestamp"]),
                reason=RejectReason(about["reason"]),
                detail=about["detail"],
                key=key,
                value=value,
                headers=tuple(original),
                # Letters of earlier versions have none.
                attempts=int(about.get("attempts", 0)),
            )
        except KeyError as missing:
            raise ValueError(f"not a dead letter: no header {_PREFIX}{missing.args[0]}") from None


def replayed(headers: Sequence[Header]) -> list[Header]:
    """The header that a consumed record hands on to what is made of it; none if not replayed."""
    return [header for header in headers if header[0] == ATTEMPTS]


def true_headers(headers: Sequence[Header]) -> tuple[Sequence[Header], int]:
    """The headers of a consumed record without what replaying added, and how often it was.

    A dead letter that some other tool copied to a topic as it is counts as a replay of it.
    """
    if not any(name.startswith(_PREFIX) for name, _ in headers):
        return headers, 0
    try:
        copied = DeadLetter.from_record(None, None, headers)
    except ValueError:
        own = (ATTEMPTS, REPLAY_OF)
        kept = tuple(header for header in headers if header[0] not in own)
        return kept, max((_number(value) for _, value in replayed(headers)), default=0)
    return copied.headers, copied.attempts + 1


def _number(value: bytes | None) -> int:
    """A count in a header; 0 when it is none, since anybody can write to OpenWhisk's topics."""
    return int(value) if value and value.isdigit() and len(value) < len(str(2**31)) else 0
