"""Takes an answer that cannot be what Kafka answers for a broken connection.

aiokafka 0.14 reads whatever a broker, or somebody between, announces: of an answer of 2 GB it waits
for the rest until its time is over (40 s), and what it asked meanwhile waits, too. The error of its
decoder it logs with a traceback. What it can decode it believes (see `plausible_answers`), and one
of its background tasks ends by that: those that look for the group's coordinator, fetch, send
batches or look for topics, and with them the worker, with some hundred lines of tracebacks. And
what a fetch is answered at once with nothing it fetches again at once, two thousand times a second.

Not reported.

- Symptom: "Unexpected error in coordinator routine", "Unexpected error in sender routine", and
  `'NoneType' object is not iterable`.
- Reproduction: a proxy before the broker that overwrites the answer to a Metadata request with 0xff
  bytes, or a partition in the answer to a Fetch request with -1.
- Mend: here each of them is a `KafkaConnectionError`, which all of these try again after, and one
  line in the log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from struct import Struct
from time import monotonic
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import CorrelationIdError, KafkaConnectionError, KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.patches.plausible_answers import can_be_reached, whats_wrong
from app.kafka.wrapping import wrap
from app.process.printable import printable

logger = logging.getLogger("aiokafka.conn")
"""aiokafka's logger for connections, which is rate-limited."""

MIB: Final = 1024 * 1024

LARGEST_FETCH: Final = 128 * MIB
"""Most bytes of the answer to a fetch, which has at least one batch of any size. Brokers accept no
batch above their `socket.request.max.bytes`, 100 MiB by default.
"""

LARGEST: Final = 32 * MIB
"""Most bytes of any other answer: enough for the metadata of half a million partitions."""

STALLED_SECONDS: Final = 5.0
"""Seconds without a byte in the middle of an answer. A broker sends an answer in one piece."""

EMPTY_SECONDS: Final = 0.05
"""Least seconds from a fetch without records to the next one. A genuine broker makes a fetch wait
longer, if it was asked to.
"""

_LONGEST = 200
"""Characters shown of an error, which may quote what a broker sent."""

LATELY_SECONDS: Final = 60.0

_length: Final = Struct(">i")


class UnreadableAnswerError(ConnectionError):
    """What a broker sent cannot be an answer of Kafka's; the message says who sent what."""


class Unreadable:
    """The last unreadable answer that a client of this process got.

    aiokafka tries again after one, for as long as it may, and then says only that time is up.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = ""
        self._at = float("-inf")

    def note(self, why: str) -> None:
        """Keep what is wrong with an answer."""
        self._last, self._at = why, self._clock()

    @property
    def told(self) -> str:
        """What was wrong with it; empty if there was none of late."""
        return self._last if self._clock() - self._at < LATELY_SECONDS else ""


unreadable = Unreadable()
"""Those of this process."""


def refuse_unreadable_answers(largest_fetch: int = LARGEST_FETCH) -> None:
    """Make every connection of this process refuse unreadable answers.

    Args:
        largest_fetch: bytes that the answer to a fetch may have.
    """
    AIOKafkaConnection._read = staticmethod(reading(largest_fetch))  # noqa: SLF001
    wrap(AIOKafkaConnection, "connect", connecting)
    wrap(AIOKafkaConnection, "send", checking)
    wrap(AIOKafkaConnection, "_handle_frame", handling)


def reading(largest_fetch: int) -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Replace `AIOKafkaConnection._read`, refusing answers of an impossible length.

    Args:
        largest_fetch: bytes that the answer to a fetch may have.
    """

    async def read(connection_if_any: Callable[[], Any]) -> None:
        # Holds no reference while it waits, so that an abandoned connection can be collected.
        if (connection := connection_if_any()) is None:
            return
        reader = connection._reader  # noqa: SLF001
        del connection
        while True:
            (size,) = _length.unpack(await reader.readexactly(_length.size))
            if (connection := connection_if_any()) is None:
                return
            question = connection._requests[0][1] if connection._requests else None  # noqa: SLF001
            fetch = question is not None and question.API_KEY == FetchRequest.API_KEY
            place = _place(connection)
            del connection
            if not 0 <= size <= (largest_fetch if fetch else LARGEST):
                raise _logged(f"{place} announces an answer of {size} bytes")
            frame = await _received(reader, size, place)
            if (connection := connection_if_any()) is None:
                return
            connection._handle_frame(frame)  # noqa: SLF001
            del connection

    return read


async def _received(reader: asyncio.StreamReader, size: int, place: str) -> bytes:
    parts: list[bytes] = []
    left = size
    while left:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                part = await reader.read(left)
        except TimeoutError:
            why = f"{place} stops after {size - left} of {size} bytes of an answer"
            raise _logged(why) from None
        if not part:
            raise asyncio.IncompleteReadError(b"", left)
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def connecting(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `AIOKafkaConnection.connect` to turn unexpected errors into retriable ones."""

    @wraps(connect)
    async def connect_or_fail(connection: Any) -> Any:
        try:
            return await connect(connection)
        except (KafkaError, OSError):
            raise
        except Exception as error:
            # An impossible address, or an unreadable answer during the login.
            raise KafkaConnectionError(
                f"Cannot connect to {_place(connection)}: {_shown(error)}"
            ) from error

    return connect_or_fail


def handling(handle: Callable[..., None]) -> Callable[..., None]:
    """Wrap `AIOKafkaConnection._handle_frame` to close the connection if it cannot read a frame."""

    @wraps(handle)
    def handle_or_break(connection: Any, frame: bytes) -> None:
        try:
            handle(connection, frame)
        except Exception as error:
            why = f"{_place(connection)} answers what cannot be read: {_shown(error)}"
            raise _logged(why) from error

    return handle_or_break


def checking(send: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `AIOKafkaConnection.send` to close the connection at an implausible answer."""

    @wraps(send)
    def send_and_check(connection: Any, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - aiokafka's
        answering = send(connection, request, expect_response=expect_response)
        if not expect_response:
            return answering
        # The request as it was sent, in the version that this broker supports.
        _, question, _ = connection._requests[-1]  # noqa: SLF001
        return _checked(connection, question, answering)

    return send_and_check


async def _checked(connection: Any, question: Any, answering: Awaitable[Any]) -> Any:
    began = monotonic()
    try:
        answer = await answering
    except CorrelationIdError:
        why = _logged(f"{_place(connection)} answers another question than was asked")
        raise KafkaConnectionError(str(why)) from why
    if (wrong := whats_wrong(question, answer)) is not None:
        told = f"answers what cannot be true: {printable(wrong, longest=_LONGEST)}"
        why = _logged(f"{_place(connection)} {told}")
        connection.close(reason=CloseReason.CONNECTION_BROKEN, exc=why)
        raise KafkaConnectionError(str(why)) from why
    if question.API_KEY == MetadataRequest.API_KEY:
        answer.brokers = [broker for broker in answer.brokers if _reachable(*broker)]
    elif question.API_KEY == FetchRequest.API_KEY and not any(
        # Records beside an error are not looked at.
        records and not error
        for _, partitions in answer.topics
        for _, error, *_, records in partitions
    ):
        wait = min(EMPTY_SECONDS, question.max_wait_time / 1000)
        await asyncio.sleep(max(0.0, began + wait - monotonic()))
    return answer


def _logged(why: str) -> UnreadableAnswerError:
    logger.warning("%s", why)
    unreadable.note(why)
    return UnreadableAnswerError(why)


def _reachable(node: int, host: str, port: int, *_: Any) -> bool:
    if can_be_reached(host, port):
        return True
    logger.warning(
        "Broker %d is told to be at %s:%d, where none can be: it counts as unreachable",
        *(node, printable(str(host), longest=_LONGEST), port),
    )
    return False


def _place(connection: Any) -> str:
    return printable(f"{connection.host}:{connection.port}", longest=_LONGEST)


def _shown(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", longest=_LONGEST)
