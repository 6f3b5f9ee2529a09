"""Decides which of the selected letters are replayed, and where to."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from app.dead_letters.destination import Destination, destination
from app.dead_letters.progress import Progress
from app.dead_letters.reading import Letter
from app.dead_letters.selection import Selection
from app.kafka.topics import TopicNames
from app.settings import Settings
from models.reasons import RejectReason
from models.reserved import is_reserved

RECORD_OVERHEAD = 512
"""Upper bound of the bytes that Kafka and a replay's headers add to a record."""


class Stay(StrEnum):
    """Why a selected letter is not replayed."""

    REPLAYED_BEFORE = "replayed before"
    ATTEMPTS = "set aside again too often (--max-attempts)"
    DIVERGENT = "divergent (replayed only with --reason divergent)"
    NO_TOPIC = "without a topic to go to"
    TOO_LARGE = "too large for the topic (raise its max.message.bytes)"
    INCOMPLETE = "kept without the record (it did not fit, or could not be unpacked)"
    RESERVED = "not an activation's document (its id is another, or a field begins with _)"


class Planned(NamedTuple):
    """A letter and its destination."""

    letter: Letter
    to: Destination


class Planner:
    """Plans the replay of each letter.

    Args:
        settings: name the topics and the log mode.
        selection: the letters that were asked for.
        progress: the letters that were replayed before.
        max_attempts: a letter that was replayed this often stays.
        partitions: how many each existing topic has.
        largest: looks up the `max.message.bytes` of a topic; called once per topic.
    """

    def __init__(
        self,
        settings: Settings,
        selection: Selection,
        progress: Progress,
        *,
        max_attempts: int,
        partitions: Mapping[str, int],
        largest: Callable[[str], Awaitable[int]],
    ) -> None:
        self._log_mode = settings.routing.log_mode
        self._names = TopicNames(settings.kafka.topic_prefix)
        self._selection = selection
        self._progress = progress
        self._max_attempts = max_attempts
        self._partitions = partitions
        self._largest = largest
        self._limits: dict[str, int] = {}

    async def plan(self, letter: Letter) -> Planned | Stay:
        """The letter's destination, or why it stays."""
        letter = self._progress.counted(letter)
        stay = self._stay(letter)
        if stay:
            return stay
        to = destination(letter.content, self._names, self._log_mode, self._partitions)
        if to is None:
            return Stay.NO_TOPIC
        if size(letter) + RECORD_OVERHEAD > await self._limit(to.topic):
            return Stay.TOO_LARGE
        if to.topic == self._names.documents and is_reserved(letter.content.value or b""):
            return Stay.RESERVED
        return Planned(letter, to)

    def _stay(self, letter: Letter) -> Stay | None:
        if self._progress.replayed(letter):
            return Stay.REPLAYED_BEFORE
        if letter.content.attempts >= self._max_attempts:
            return Stay.ATTEMPTS
        if letter.content.left_out or letter.content.reason is RejectReason.UNREADABLE:
            return Stay.INCOMPLETE
        # A different document is stored under its id, so it would only be set aside again.
        divergent = RejectReason.DIVERGENT
        if letter.content.reason is divergent and divergent not in self._selection.reasons:
            return Stay.DIVERGENT
        return None

    async def _limit(self, topic: str) -> int:
        if topic not in self._limits:
            self._limits[topic] = await self._largest(topic)
        return self._limits[topic]


def size(letter: Letter) -> int:
    """The size of the original record in bytes."""
    content = letter.content
    headers = sum(len(name) + len(value or b"") for name, value in content.headers)
    return len(content.key or b"") + len(content.value or b"") + headers
