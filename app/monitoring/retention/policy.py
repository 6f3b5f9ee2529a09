"""How much is left of a topic's retention. Pure.

Kafka deletes whole segments: by age, when the latest record of a segment is older than
`retention.ms`, and by size, while the segments after it have more than `retention.bytes`. So a
record is safe at least until its own age reaches `retention.ms`, and as long as fewer than
`retention.bytes` come after it. This module computes that earliest moment; Kafka may be up to a
segment later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.kafka.untimed import NO_TIMESTAMP


@dataclass(frozen=True)
class Policy:
    """How long a topic is kept, in milliseconds and bytes; None means for ever."""

    ms: int | None = None
    bytes: int | None = None

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "Policy":
        """Read a topic's `cleanup.policy`, `retention.ms` and `retention.bytes`."""
        if "delete" not in settings["cleanup.policy"]:
            return cls()
        ms, size = int(settings["retention.ms"]), int(settings["retention.bytes"])
        return cls(ms if ms >= 0 else None, size if size >= 0 else None)


class Head(NamedTuple):
    """The oldest unread record."""

    at: int
    """Its timestamp in epoch millis; `NO_TIMESTAMP` if it has none."""

    size: float
    """Mean size of the records there, in bytes."""


@dataclass(frozen=True)
class Left:
    """What is left of a partition's retention.

    Args:
        deadline: when unread records may be deleted, in epoch seconds; None if unknown.
        share: 1 if nothing is used up, 0 if records may be deleted now.
        records: how many records are unread.
    """

    deadline: float | None
    share: float
    records: int


def left(
    policy: Policy, head: Head, records: int, per_second: float | None, now: float
) -> Left | None:
    """What is left of the retention; None if records are kept for ever, or it is unknown.

    For a record without a timestamp, Kafka uses that of its segment file, which is unknown to us.

    Args:
        policy: the topic's retention.
        head: the oldest unread record.
        records: how many records are unread.
        per_second: records that arrive per second; None while unknown.
        now: epoch seconds.
    """
    deadlines, shares = [], []
    if policy.ms is not None and head.at != NO_TIMESTAMP:
        deadlines.append((head.at + policy.ms) / 1000)
        shares.append((deadlines[0] - now) * 1000 / policy.ms if policy.ms else 0.0)
    if policy.bytes is not None:
        room = policy.bytes - records * head.size
        shares.append(room / policy.bytes if policy.bytes else 0.0)
        if room <= 0:
            deadlines.append(now)
        elif per_second:
            deadlines.append(now + room / (per_second * head.size))
    if not shares:
        return None
    return Left(min(deadlines, default=None), max(0.0, min(shares)), records)
