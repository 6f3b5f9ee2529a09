"""What an OpenWhisk message requires of the persister, by the audit's own rule.

It deliberately does not use the worker's rule (`app.routing`), though both must agree. The only
exception is what is too large to be parsed twice.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from app.audit.content import many_values
from app.routing import Candidate, Skip, route
from app.settings import RoutingSettings, StoreLevel
from models import exact_json, json_text
from models.activation import Activation
from models.documents import ADDED_FIELDS, ENTITY_TYPE
from models.fields import FieldError, activation_id
from models.reasons import SkipReason
from models.roles import TopicRole
from models.transid import TransactionId


class Expected(NamedTuple):
    """This document must be in the database."""

    activation_id: str
    document_id: str
    fields: Mapping[str, Any] | None
    """All but `_id` and `updated`, as `exact_json` reads them; None where there are too many values
    to be read so."""


class LeftOut(NamedTuple):
    """There is a record, but it must not be stored."""

    activation_id: str
    """Empty if nothing in it looks like one."""

    reason: SkipReason


class Finished(NamedTuple):
    """The activation has ended; its record must arrive in another message."""

    activation_id: str


class Unusable(NamedTuple):
    """It must be a dead letter."""

    activation_id: str | None
    """If something in it looks like one."""


Expectation = Expected | LeftOut | Finished | Unusable

_FAILED_NOT_BY_THE_APPLICATION: Final = (2, 3)
_RESPONSE: Final = json_text.Names(["response"])
_ID: Final = re.compile(rb'"activationId"\s*:\s*"([0-9a-f]{32})"')


def expectation(role: TopicRole, value: bytes | None, rules: RoutingSettings) -> Expectation:
    """What a record of one of OpenWhisk's topics demands; never raises.

    Args:
        role: of its topic.
        value: the Kafka record's.
        rules: store levels and excluded namespaces.
    """
    written = value or b""
    if many_values(written):
        return _by_the_workers_rule(role, written, rules)
    try:
        decoded = exact_json.loads(written.decode())
        found = _record_or_id(decoded)
    except ValueError:
        return Unusable(_id_in(written))
    if isinstance(found, str):
        return Finished(found)
    activation = found
    fields = _document_fields(decoded["response"], activation)
    # CouchDB keeps such names to itself, and OpenWhisk's reader takes no such number.
    reserved = any(name.startswith("_") for name in fields)
    if reserved or json_text.has_long_number(_response(written)):
        return Unusable(activation.activation_id)
    transid = TransactionId.from_wire(decoded.get("transid"))
    reason = _left_out(role, transid, activation, rules)
    if reason is not None:
        return LeftOut(activation.activation_id, reason)
    return Expected(activation.activation_id, activation.document_id, fields)


def _by_the_workers_rule(role: TopicRole, value: bytes, rules: RoutingSettings) -> Expectation:
    """What a record with very many values demands.

    To decode it takes a hundred times its size of memory; the worker's rule decodes none of it.
    """
    decision = route(role, value, 0, rules)
    if isinstance(decision, Candidate):
        document_id = f"{decision.namespace}/{decision.activation_id}"
        return Expected(decision.activation_id, document_id, None)
    if isinstance(decision, Skip):
        return LeftOut(_id_in(value) or "", decision.reason)
    return Unusable(_id_in(value))


def _response(message: bytes) -> bytes:
    """The record in a message, as it is written: the last of equal names counts."""
    found = b""
    for _, _, _, start, end in _RESPONSE.members(message):
        found = message[start:end]
    return found


def _record_or_id(message: Any) -> Activation | str:
    """The record in a message, or the id of the activation that it tells of.

    Raises `FieldError` where there is neither; nothing else of the envelope matters.
    """
    if not isinstance(message, Mapping):
        raise FieldError("a message must be an object")
    response = message.get("response")
    if isinstance(response, Mapping):
        return Activation.from_wire(response)
    if "response" not in message and message.keys() & {"instance", "invoker"}:
        response = message.get("activationId")
    elif not isinstance(response, str):
        raise FieldError("response must be an activation record or its id")
    return activation_id(response)


def _document_fields(record: Mapping[str, Any], activation: Activation) -> dict[str, Any]:
    fields = {name: value for name, value in record.items() if name not in ADDED_FIELDS}
    for name, moment in (("start", activation.start), ("end", activation.end)):
        if isinstance(fields[name], str):
            fields[name] = moment
    return fields | {"entityType": ENTITY_TYPE}


def _left_out(
    role: TopicRole, transid: TransactionId, activation: Activation, rules: RoutingSettings
) -> SkipReason | None:
    if activation.namespace in rules.excluded_namespaces:
        return SkipReason.EXCLUDED_NAMESPACE
    if transid.extra_logging:
        return None
    blocking = role is TopicRole.COMPLETED
    level = rules.blocking_store_level if blocking else rules.non_blocking_store_level
    status = activation.response.status_code
    match level:
        case StoreLevel.STORE_ALWAYS:
            stored = True
        case StoreLevel.STORE_FAILURES:
            stored = status != 0
        case StoreLevel.STORE_FAILURES_NOT_APPLICATION_ERRORS:
            stored = status in _FAILED_NOT_BY_THE_APPLICATION
    return None if stored else SkipReason.STORE_LEVEL


def _id_in(value: bytes) -> str | None:
    found = _ID.search(value)
    return found[1].decode() if found else None
