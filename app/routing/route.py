"""Routes one record."""

from app.routing import fast_path, slow_path
from app.routing.outcomes import Candidate, Decision, Reject
from app.routing.rules import Rules, left_out
from models.reasons import RejectReason
from models.roles import TopicRole

_NO_VALUE = Reject(RejectReason.NOT_JSON, "the record has no value")


def route(role: TopicRole, value: bytes | None, timestamp: int, rules: Rules) -> Decision:
    """Decide what becomes of a record from one of OpenWhisk's topics; never raises.

    Takes microseconds for a usual one, and up to some tenths of a second for each megabyte of a
    malicious one.

    Every kind of message is accepted on every topic. A record is valid when OpenWhisk's own reader
    accepts it (`WhiskActivation.serdes`, by spray-json), whatever the message around it looks like:
    a later version of OpenWhisk may acknowledge in another form.

    Args:
        role: the topic's role, which decides which store level applies.
        value: the Kafka record's value.
        timestamp: the Kafka record's timestamp in epoch millis, which becomes the document's
            `updated`.
        rules: store levels and excluded namespaces.
    """
    return quickly(role, value, timestamp, rules) or closely(role, value, timestamp, rules)


def quickly(role: TopicRole, value: bytes | None, timestamp: int, rules: Rules) -> Decision | None:
    """As `route`, in microseconds, for short messages in the usual form; None for any other."""
    if value is None:
        return _NO_VALUE
    found = fast_path.read(value, timestamp)
    return (left_out(role, found, rules) or found) if isinstance(found, Candidate) else found


def closely(role: TopicRole, value: bytes | None, timestamp: int, rules: Rules) -> Decision:
    """As `route`, for what `quickly` says nothing about."""
    if value is None:
        return _NO_VALUE
    usual = fast_path.read(value, timestamp, len(value)) if len(value) > fast_path.AT_ONCE else None
    found = usual or slow_path.read(value, timestamp)
    return (left_out(role, found, rules) or found) if isinstance(found, Candidate) else found
