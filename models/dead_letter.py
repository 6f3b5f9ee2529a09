"""A record that was set aside, with where it came from and why."""

from collections.abc import Iterable, Sequence
from typing import Self

import faust

from models.reasons import RejectReason

Header = tuple[str, bytes | None]

_PREFIX = "dead-letter-"
_ORIGINAL = "original-"


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

    def to_headers(self) -> list[Header]:
        """The headers of the dead letter's own Kafka record."""
        about = {
            "topic": self.topic,
            "partition": str(self.partition),
            "offset": str(self.offset),
            "timestamp": str(self.timestamp),
            "reason": self.reason.value,
            "detail": self.detail,
        }
        own: list[Header] = [(_PREFIX + name, text.encode()) for name, text in about.items()]
        return own + [(_ORIGINAL + name, value) for name, value in self.headers]

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
            )
        except KeyError as missing:
            raise ValueError(f"not a dead letter: no header {_PREFIX}{missing.args[0]}") from None
