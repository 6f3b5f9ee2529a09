"""What an OpenWhisk message requires of the persister, by the audit's own rule.

It deliberately does not use the worker's rule (`app.routing`), though both must agree.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

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
    fields: Mapping[str, Any]
    """All but `_id` and `updated`, as `exact_json` reads them."""


class LeftOut(NamedTuple):
    """There is a record, but it must not be stored."""

    activation_id: str
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
_ID: Final = re.compile(rb'"activationId"\s*:\s*"([0-9a-f]{32})"')


def expectation(role: TopicRole, value: bytes | None, rules: RoutingSettings) -> Expectation:
    """What a record of one of OpenWhisk's topics demands; never raises.

    Args:
        role: of its topic.
        value: the Kafka record's.
        rules: store levels and excluded namespaces.
    """
    try:
        text = (value or b"").decode()
        decoded = exact_json.loads(text)
        found = _record_or_id(decoded)
    except ValueError:
        return Unusable(_id_in(value or b""))
    if isinstance(found, str):
        return Finished(found)
    activation = found
    fields = _document_fields(decoded["response"], activation)
    if any(name.startswith("_") for name in fields):
        # CouchDB keeps these names to itself.
        return Unusable(activation.activation_id)
    if json_text.has_long_number(exact_json.members(text)["response"].value_text.encode()):
        # OpenWhisk's reader would not take it.
        return Unusable(activation.activation_id)
    transid = TransactionId.from_wire(decoded.get("transid"))
    reason = _left_out(role, transid, activation, rules)
    if reason is not None:
        return LeftOut(activation.activation_id, reason)
    return Expected(activation.activation_id, activation.document_id, fields)


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
