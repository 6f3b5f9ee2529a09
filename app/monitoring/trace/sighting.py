"""What one record in Kafka says about an activation."""

from dataclasses import dataclass
from enum import StrEnum

from app.routing import Reject, Skip, Store, route
from app.settings import RoutingSettings
from models.dead_letter import DeadLetter
from models.reasons import SkipReason
from models.roles import TopicRole


class Kind(StrEnum):
    """What stands in the record."""

    RECORD = "record"
    """The activation's record, in a message of OpenWhisk."""

    ACKNOWLEDGEMENT = "acknowledgement"
    """OpenWhisk reports the activation as finished; its record is not in this message."""

    DOCUMENT = "document"
    """Ready to be stored, in the internal topic."""

    LETTER = "dead letter"
    """It was set aside."""

    UNREADABLE = "unreadable"
    """The id stands in it, but it is no record that could be stored."""


@dataclass(frozen=True)
class Place:
    """A record of Kafka.

    Args:
        at: the record's time, epoch millis.
    """

    topic: str
    partition: int
    offset: int
    at: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} offset {self.offset}"


@dataclass(frozen=True)
class Sighting:
    """A record in which the activation was seen.

    Args:
        decided: what the worker makes of it, in words.
        behind: records before it that the worker has yet to finish; None: it has finished this one,
            or nobody can tell.
        document: as it is, or would be, sent to the database.
    """

    place: Place
    kind: Kind
    decided: str
    behind: int | None = None
    document: bytes | None = None

    @property
    def waits(self) -> bool:
        """Whether the worker has not come to it yet."""
        return self.behind is not None


def of_message(
    activation_id: str, role: TopicRole, place: Place, value: bytes, rules: RoutingSettings
) -> Sighting | None:
    """What a message of OpenWhisk is to this activation; None when it is another one's.

    Args:
        activation_id: 32 hex digits.
        role: of the message's topic.
        place: where it is.
        value: the record's value.
        rules: of the worker.
    """
    if activation_id.encode() not in value:
        return None
    match route(role, value, place.at, rules):
        case Store(activation_id=found, document=document):
            # Another activation's record may name it, as its cause.
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
    """What a record of the internal topic is to this activation."""
    if key != activation_id.encode():
        return None
    return Sighting(place, Kind.DOCUMENT, "to be written to the database", document=value)


def of_letter(activation_id: str, place: Place, letter: DeadLetter) -> Sighting | None:
    """What a dead letter is to this activation."""
    if activation_id.encode() not in (letter.key or b"") + (letter.value or b""):
        return None
    origin = f"{letter.topic}/{letter.partition} offset {letter.offset}"
    return Sighting(
        place, Kind.LETTER, f"set aside from {origin}, {letter.reason.value}: {letter.detail}"
    )
