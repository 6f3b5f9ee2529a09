"""What one worker reports about itself, as JSON in a topic. Pure.

Anyone with the right to write to the topic may write anything, so whatever is read is bounded:
numbers, the lengths of texts, and how many of each there are.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from app.process.printable import printable

LARGEST = 48 * 1024
"""Most bytes of an encoded snapshot; usual are less than two thousand."""

NAME, TEXT, SEVERAL, REASONS, UNREAD = 250, 400, 10, 32, 30
_MOST = 2**53

Name = Annotated[str, Meta(max_length=NAME)]
Text = Annotated[str, Meta(max_length=TEXT)]
Count = Annotated[int, Meta(ge=0, le=_MOST)]
Number = Annotated[float, Meta(ge=0, le=_MOST)]
"""A rate, or a duration in seconds."""

_LAST = 253_402_300_799
Instant = Annotated[float, Meta(ge=0, le=_LAST)]
"""Epoch seconds, up to the end of the year 9999."""

T = TypeVar("T")


class Counts(msgspec.Struct, frozen=True):
    """Records since the start of the worker."""

    read: Count = 0
    """Records from OpenWhisk's topics that are finished there."""
    skipped: Count = 0
    stored: Count = 0
    duplicates: Count = 0
    dead_letters: Count = 0
    lost: Count = 0
    """Records that Kafka deleted before they were read."""
    lost_documents: Count = 0
    """Those of them that were on the internal topic."""


class Rates(msgspec.Struct, frozen=True):
    """Current rates in records per second."""

    read: Number = 0.0
    skipped: Number = 0.0
    stored: Number = 0.0
    duplicates: Number = 0.0
    dead_letters: Number = 0.0


class Delay(msgspec.Struct, frozen=True):
    """Seconds from the end of an activation until it is stored: half take less, 99 % take less."""

    half: Number
    most: Number


class DatabaseState(msgspec.Struct, frozen=True):
    """What a worker sees of the database."""

    identity: Name = ""
    """Identifies the database; empty while that is not certain."""
    looks: Count = 0
    """How often the worker has identified the database."""
    down: bool = False
    error: Text = ""
    requests: Count = 0
    limit: Count = 0
    waiting: Count = 0
    """How many documents no request has taken yet."""


class LastLetter(msgspec.Struct, frozen=True):
    """A record that was set aside."""

    at: Instant
    place: Name
    reason: Name
    detail: Text


class Unread(msgspec.Struct, frozen=True):
    """A partition with unfinished records; times in epoch seconds."""

    topic: Name
    partition: Count
    oldest: Instant | None = None
    """When its oldest unfinished record was written."""
    kept: Instant | None = None
    """Until when Kafka keeps it."""


class Snapshot(msgspec.Struct, frozen=True):
    """The state of a worker at one moment.

    Args:
        worker: its name in the group, which is the record's key.
        group: the application id.
        member: its id in the consumer group; empty while it is not a member.
        at: epoch seconds by its own clock.
        started: when it started, in epoch seconds by its own clock.
        why: why it is not ready; empty while it is.
        held: topics that are not fetched on purpose, and reasons for which storing is held.
        set_aside: dead letters since its start, by reason.
        latest: the last dead letters, newest first.
        unread: the partitions that it reads and is behind in, oldest first.
    """

    worker: Name
    group: Name = ""
    member: Name = ""
    version: Name = ""
    at: Instant = 0.0
    started: Instant = 0.0
    why: Text = ""
    counts: Counts = Counts()
    rates: Rates = Rates()
    delay: Delay | None = None
    database: DatabaseState = DatabaseState()
    held: Annotated[list[Text], Meta(max_length=SEVERAL)] = []
    set_aside: Annotated[dict[Name, Count], Meta(max_length=REASONS)] = {}
    latest: Annotated[list[LastLetter], Meta(max_length=SEVERAL)] = []
    unread: Annotated[list[Unread], Meta(max_length=UNREAD)] = []

    @property
    def ready(self) -> bool:
        """Whether its work makes progress."""
        return not self.why


_decoder = msgspec.json.Decoder(Snapshot)


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as it is written to the topic."""
    return msgspec.json.encode(snapshot)


def decode(key: bytes | None, value: bytes) -> Snapshot:
    """Read a snapshot; raises `ValueError` if it is not one, or has another worker's key."""
    if len(value) > LARGEST:
        raise ValueError(f"{len(value)} bytes are no snapshot")
    try:
        snapshot = _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a snapshot: {error}") from None
    if key != snapshot.worker.encode():
        raise ValueError("not a snapshot: it names another worker than its key")
    return snapshot


def name(text: str) -> str:
    """A printable text that fits a name."""
    return printable(text)[:NAME]


def short(text: str) -> str:
    """A printable text that fits into a snapshot."""
    return printable(text[:TEXT])[:TEXT]


def moment(seconds: float) -> float:
    """A moment that fits into a snapshot; Kafka's timestamps are anybody's."""
    return min(max(0.0, seconds), _LAST)


def several(items: Iterable[T], most: int = SEVERAL) -> list[T]:
    """As many items as a snapshot has room for."""
    return list(islice(items, most))
