"""A proxy in front of a Kafka broker that knows the protocol, and lies where it is told to."""

import asyncio
import contextlib
import io
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from dev.process import HOST

SIZE, CORRELATION = 4, 4


class Exchange(NamedTuple):
    """A request and the broker's answer to it.

    Args:
        kind: of the request, as it was sent.
        frame: the answer with its length and its correlation id.
    """

    kind: Any
    frame: bytes

    def changed(self, change: Callable[[Any], object]) -> bytes:
        """The answer after a change of its fields."""
        answer = self.kind.RESPONSE_TYPE.decode(io.BytesIO(self.frame[SIZE + CORRELATION :]))
        change(answer)
        body = self.frame[SIZE : SIZE + CORRELATION] + answer.encode()
        return bytes(struct.pack(">i", len(body)) + body)


Lie = Callable[[Exchange], bytes]


def changed(change: Callable[[Any], object]) -> Lie:
    """The broker's answer with other fields."""
    return lambda exchange: exchange.changed(change)


def announced(size: int) -> Lie:
    """The broker's answer, of which the length is said to be another one."""
    return lambda exchange: struct.pack(">i", size) + exchange.frame[SIZE:]


def overwritten(byte: int) -> Lie:
    """As many bytes as the broker's answer has, all of them this one."""
    head = SIZE + CORRELATION
    return lambda exchange: exchange.frame[:head] + bytes([byte]) * (len(exchange.frame) - head)


class Liar:
    """Passes on what comes, but for its own address in the place of the broker's.

    Attributes:
        port: where it listens.
        lies: what to answer instead, by the kind of the request.
        told: how often it has.
        away: whether it closes new connections at once.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.lies: Mapping[type[Request[Any]], Lie] = {}
        self.told: Counter[type[Request[Any]]] = Counter()
        self.away = False
        self._target = target
        self._clients: set[asyncio.StreamWriter] = set()
        self._requests = {
            (kind.API_KEY, kind.API_VERSION): (request, kind)
            for request in Request.__subclasses__()
            for kind in request._CLASSES
        }

    @property
    def url(self) -> str:
        """`kafka://host:port`."""
        return f"kafka://{HOST}:{self.port}"

    def tell(self, lies: Mapping[type[Request[Any]], Lie]) -> None:
        """Tell these lies from now on, and no others."""
        self.lies = lies
        self.told.clear()

    def disconnect(self) -> None:
        """Close all connections of clients."""
        for client in self._clients:
            client.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.close()
            return
        self._clients.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            there_reader, there_writer = await asyncio.open_connection(HOST, self._target)
            asked: deque[tuple[int, int]] = deque()
            try:
                await asyncio.gather(
                    self._pass_on(reader, there_writer, lambda frame: _noted(frame, asked)),
                    self._pass_on(there_reader, writer, lambda frame: self._answer(frame, asked)),
                )
            finally:
                there_writer.close()
        self._clients.discard(writer)
        writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seen: Callable[[bytes], bytes],
    ) -> None:
        while True:
            head = await reader.readexactly(SIZE)
            writer.write(seen(head + await reader.readexactly(*struct.unpack(">i", head))))
            await writer.drain()

    def _answer(self, frame: bytes, asked: deque[tuple[int, int]]) -> bytes:
        known = self._requests.get(asked.popleft())
        if known is None:
            return frame
        request, kind = known
        exchange = Exchange(kind, frame)
        if request in (MetadataRequest, FindCoordinatorRequest):
            exchange = Exchange(kind, exchange.changed(self._stand_in))
        if request not in self.lies:
            return exchange.frame
        self.told[request] += 1
        return self.lies[request](exchange)

    def _stand_in(self, answer: Any) -> None:
        if hasattr(answer, "brokers"):
            answer.brokers = [
                (node, host, self.port, rack) for node, host, _, rack in answer.brokers
            ]
        else:
            answer.port = self.port


def _noted(frame: bytes, asked: deque[tuple[int, int]]) -> bytes:
    asked.append(struct.unpack_from(">hh", frame, SIZE))
    return frame


@contextlib.asynccontextmanager
async def liar(kafka_url: str) -> AsyncIterator[Liar]:
    """One in front of this broker, which listens and tells no lies yet."""
    lying = Liar(urlsplit(kafka_url).port or 0)
    server = await asyncio.start_server(lying.handle, HOST, 0)
    lying.port = server.sockets[0].getsockname()[1]
    try:
        yield lying
    finally:
        server.close()
        lying.disconnect()
