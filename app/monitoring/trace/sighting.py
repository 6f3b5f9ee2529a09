"""What one record in Kafka says about an activation."""

from dataclasses import dataclass
from enum import StrEnum

from app.process.printable import shown
from app.routing import Reject, Skip, Store, route
from app.settings import RoutingSettings
from models.dead_letter import DeadLetter
from models.reasons import SkipReason
from models.roles import TopicRole


class Kind(StrEnum):
    """What a record in Kafka is."""

    RECORD = "record"
    """The activation's record, in a message from OpenWhisk."""

    ACKNOWLEDGEMENT = "acknowledgement"
    """OpenWhisk's report that the activation has finished, without its record."""

    DOCUMENT = "document"
    """A document in the internal topic, ready to be stored."""

    LETTER = "dead letter"
    """A record that was set aside."""

    UNREADABLE = "unreadable"
    """It has the id in it, but cannot be stored."""


@dataclass(frozen=True)
class Place:
    """The place of a record in Kafka.

    Args:
        at: the record's timestamp, in epoch millis.
    """

    topic: str
    partition: int
    offset: int
    at: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} offset {self.offset}"


@dataclass(frozen=True)
class Sighting:
    """A record that has to do with the activation.

    Args:
        decided: what the worker decides about it, in words.
        behind: how many records before it the worker has yet to finish; None if it has finished
            this one, or that is unknown.
        document: the document as it is, or would be, sent to the database.
    """

    place: Place
    kind: Kind
    decided: str
    behind: int | None = None
    document: bytes | None = None

    @property
    def waits(self) -> bool:
        """Whether the worker has yet to finish it."""
        return self.behind is not None


def of_message(
    activation_id: str, role: TopicRole, place: Place, value: bytes, rules: RoutingSettings
) -> Sighting | None:
    """What a message from OpenWhisk says about an activation; None if it concerns another one.

    Args:
        activation_id: 32 hex digits.
        role: the role of the message's topic.
        place: where it is.
        value: the record's value.
        rules: the worker's routing rules.
    """
    if activation_id.encode() not in value:
        return None
    match route(role, value, place.at, rules):
        case Store(activation_id=found, document=document):
            # Another activation's record may name this one as its cause.
            if found != activation_id:
                return None
            return Sighting(place, Kind.RECORD, "to be stored", document=document)
        case Skip(reason=SkipReason.ACKNOWLEDGEMENT | SkipReason.NO_RECORD as reason):
            return Sighting(place, Kind.ACKNOWLEDGEMENT, f"nothing to store in it ({reason})")
        case Skip(reason=reason):
            return Sighting(place, Kind.RECORD, f"not to be stored: {reason}")
        case Reject(reason=reason, detail=detail):
            return Sighting(place, Kind.UNREADABLE, f"to be set aside, {reason}: {detail}")


def of_document(
    activation_id: str, place: Place, key: bytes | None, value: bytes
) -> Sighting | None:
    """What a record of the internal topic says about an activation."""
    if key != activation_id.encode():
        return None
    return Sighting(place, Kind.DOCUMENT, "to be written to the database", document=value)


def of_letter(activation_id: str, place: Place, letter: DeadLetter) -> Sighting | None:
    """What a dead letter says about an activation."""
    if activation_id.encode() not in (letter.key or b"") + (letter.value or b""):
        return None
    # Whoever may write to the topic chooses these texts, and their lengths.
    origin = f"{shown(letter.topic)}/{letter.partition} offset {letter.offset}"
    why = f"{letter.reason.value}: {shown(letter.detail)}"
    return Sighting(place, Kind.LETTER, f"set aside from {origin}, {why}")
