"""What else turns up on the topics: other tools' records, and broken ones."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from dev.traffic.events import Junk
from models.activation import Activation
from models.reasons import RejectReason
from models.transid import TransactionId

_NOT_JSON = (b"", b"ping", b'{"transid":["x",1],"response":{', b"\xff\xfe{}", b"{'a': 1}", b"NaN")
_NOT_A_MESSAGE = (
    b'{"health":"ok"}',
    b"[1,2,3]",
    b"null",
    b'"text"',
    b'{"transid":["x",1],"response":7}',
    b'{"response":"0123456789abcdef"}',
)

_BREAK: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda record: record.pop("subject"),
    lambda record: record.update(activationId="0123456789abcdef"),
    lambda record: record.update(namespace="spaces at the end "),
    lambda record: record.update(logs="not an array"),
    lambda record: record.update(start="yesterday"),
    lambda record: record.update(_rev="1-0123456789abcdef0123456789abcdef"),
)


def junk(random: Random, topic: str, transid: TransactionId, activation: Activation) -> Junk:
    """A random record of one of these kinds.

    Args:
        random: seeded.
        topic: where it goes.
        transid: for those kinds that are messages.
        activation: what a broken record is made from.
    """
    match random.randrange(3):
        case 0:
            return Junk(topic, random.choice(_NOT_JSON), RejectReason.NOT_JSON)
        case 1:
            return Junk(topic, random.choice(_NOT_A_MESSAGE), RejectReason.NOT_A_MESSAGE)
    record = activation.to_wire()
    random.choice(_BREAK)(record)
    value = msgspec.json.encode({"transid": transid.to_wire(), "response": record})
    return Junk(topic, value, RejectReason.INVALID_RECORD)
