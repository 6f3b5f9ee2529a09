"""Takes an answer that is not what Kafka's protocol says for a broken connection.

aiokafka 0.14 logs the error of its decoder with a traceback. What it can decode it believes: a null
list where there may be none, an address that cannot be one (a port of -1, 300 characters) or a
partition that it has not asked for raises a `TypeError`, an `OverflowError` or a `KeyError` much
later, in the background tasks that look for the group's coordinator, fetch, send batches or look
for topics. These end, and with them the worker, with some hundred lines of tracebacks.

Not reported.

- Symptom: "Unexpected error in coordinator routine", "Unexpected error in sender routine", and
  `'NoneType' object is not iterable`.
- Reproduction: a proxy before the broker that overwrites the answer to a Metadata request with 0xff
  bytes, or a partition in the answer to a Fetch request with -1.
- Mend: here each of them is a `KafkaConnectionError`, which all of these try again after, and one
  line in the log.
"""

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.api import Response
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.types import Array, Schema

from app.process.printable import printable

logger = logging.getLogger("aiokafka.conn")
"""That of the connections, whose lines are rate-limited."""

Plan = tuple[tuple[int, str, "Plan"], ...]
"""Index and name of each list of structures among some fields, and the plan of their fields."""

LOOKED_AT: Final = frozenset((0, 1, 2, 3, 8, 9, 11, 18))
"""API keys: Produce, Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, JoinGroup,
ApiVersions."""

NULLABLE: Final = frozenset(("aborted_transactions",))

_LONGEST = 200
"""Characters that are shown of an error, which may quote what a broker sent."""


def refuse_unreadable_answers() -> None:
    """Have every connection of this process do so."""
    # Asked of what is wrapped here alone: `connect` is wrapped by `refused_logins`, too.
    if not hasattr(AIOKafkaConnection._handle_frame, "__wrapped__"):  # noqa: SLF001
        AIOKafkaClient.send = comparing(AIOKafkaClient.send)
        AIOKafkaConnection.connect = connecting(AIOKafkaConnection.connect)
        AIOKafkaConnection._handle_frame = handling(AIOKafkaConnection._handle_frame)  # noqa: SLF001
        decode = Response.decode.__func__
        Response.decode = classmethod(decoding(decode))


def comparing(send: Callable[..., Any]) -> Callable[..., Any]:
    """`AIOKafkaClient.send` that fails when a fetch brings what nobody has asked for."""

    @wraps(send)
    async def send_and_compare(client: Any, node: Any, request: Any, **kwargs: Any) -> Any:
        answer = await send(client, node, request, **kwargs)
        if isinstance(request, FetchRequest):
            asked = {topic: {one[0] for one in fetched} for topic, fetched in request.topics}
            for topic, fetched in answer.topics:
                if not asked.get(topic, set()).issuperset([one[0] for one in fetched]):
                    place = printable(topic, longest=_LONGEST)
                    raise KafkaError(
                        f"the answer has partitions of {place} that were not asked for"
                    )
        return answer

    return send_and_compare


def connecting(connect: Callable[..., Any]) -> Callable[..., Any]:
    """`AIOKafkaConnection.connect` whose every failure is one that may pass."""

    @wraps(connect)
    async def connect_or_fail(connection: Any) -> Any:
        try:
            return await connect(connection)
        except (KafkaError, OSError):
            raise
        except Exception as error:
            # Whatever an address, or the list of its versions, makes of it.
            place = printable(f"{connection.host}:{connection.port}", longest=_LONGEST)
            raise KafkaConnectionError(f"Cannot connect to {place}: {_shown(error)}") from error

    return connect_or_fail


def handling(handle: Callable[..., None]) -> Callable[..., None]:
    """`AIOKafkaConnection._handle_frame` that breaks the connection when it cannot read it."""

    @wraps(handle)
    def handle_or_break(connection: Any, frame: bytes) -> None:
        try:
            handle(connection, frame)
        except Exception as error:
            place = f"{connection.host}:{connection.port}"
            logger.warning("%s answers what cannot be read: %s", place, _shown(error))
            raise ConnectionError(f"{place} answers what cannot be read") from error

    return handle_or_break


def decoding(decode: Callable[..., Any]) -> Callable[..., Any]:
    """`Response.decode` that raises `ValueError` where a list or the name of a topic is missing."""

    @wraps(decode)
    def decode_whole(kind: Any, data: Any) -> Any:
        answer = decode(kind, data)
        if kind.API_KEY in LOOKED_AT:
            names = kind.SCHEMA.names
            _look([getattr(answer, name) for name in names], _plan(kind.SCHEMA))
        return answer

    return decode_whole


@cache
def _plan(schema: Schema) -> Plan:
    found: list[tuple[int, str, Plan]] = []
    for index, (name, field) in enumerate(zip(schema.names, schema.fields, strict=True)):
        if isinstance(field, Array) and name not in NULLABLE:
            members = field.array_of
            if isinstance(members, Schema):
                found.append((index, name, _plan(members)))
        elif name == "topic":
            found.append((index, name, ()))
    return tuple(found)


def _look(fields: Any, plan: Plan) -> None:
    for index, name, within in plan:
        value = fields[index]
        if value is None:
            raise ValueError(f"{name} is null")
        if within:
            for member in value:
                _look(member, within)


def _shown(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", longest=_LONGEST)
