"""Answers that are not what Kafka's protocol says, on aiokafka's own connection."""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.api import Response
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v4
from aiokafka.protocol.metadata import MetadataRequest, MetadataResponse_v5

from app.kafka.patches.unreadable_answers import comparing, connecting, decoding, handling

VERSION = 5
RESPONSE = MetadataResponse_v5


def whole(topics: Any, brokers: Any = ()) -> bytes:
    encoded: bytes = RESPONSE(0, list(brokers), "cluster", 1, topics).encode()
    return encoded


@pytest.fixture(autouse=True)
def _patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own, whatever other tests have patched."""
    for name, patch in (("connect", connecting), ("_handle_frame", handling)):
        method = getattr(AIOKafkaConnection, name)
        original = getattr(method, "__wrapped__", method)
        monkeypatch.setattr(AIOKafkaConnection, name, patch(original))
    monkeypatch.setattr(logging.getLogger("aiokafka.conn"), "filters", [])
    decode: Any = Response.decode
    original = getattr(decode.__func__, "__wrapped__", decode.__func__)
    monkeypatch.setattr(Response, "decode", classmethod(decoding(original)))


async def answered(*frames: bytes) -> Any:
    """What aiokafka makes of these bytes after a correlation id of 1; the rest is silence."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        for frame in frames:
            writer.write(struct.pack(">ii", 4 + len(frame), 1) + frame)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    connection = AIOKafkaConnection(host, port, request_timeout_ms=5000)
    connection._closed_fut = asyncio.get_running_loop().create_future()
    connection._versions = {MetadataRequest.API_KEY: (VERSION, VERSION)}
    connection._reader, connection._writer = await asyncio.open_connection(host, port)
    connection._read_task = connection._create_reader_task()
    try:
        return await connection.send(MetadataRequest([]))
    finally:
        connection.close()
        server.close()


async def test_what_is_as_it_should_be_is_passed_on() -> None:
    answer = await answered(whole([(0, "completed0", False, [(0, 0, 1, [1], [1], [])])]))
    assert answer.topics[0][1] == "completed0"


@pytest.mark.parametrize(
    "frame",
    [
        whole(None),
        whole([(0, "completed0", False, None)]),
        whole([(0, None, False, [])]),
        whole([])[:-3],
        b"\xff" * 40,
        b"",
    ],
    ids=["no topics", "no partitions", "no name", "cut", "ones", "empty"],
)
async def test_what_cannot_be_read_breaks_the_connection(
    frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(KafkaConnectionError):
        await answered(frame)
    (line,) = caplog.records
    assert "answers what cannot be read: ValueError: " in line.getMessage()
    assert line.exc_info is None


@pytest.mark.parametrize(
    "place,taken", [(("t", 0), True), (("t", -1), False), (("t", 1), False), (("other", 0), False)]
)
async def test_a_fetch_brings_only_what_was_asked_for(
    place: tuple[str, int],
    taken: bool,  # noqa: FBT001 - of the table above
) -> None:
    topic, number = place
    answer = FetchResponse_v4(0, [(topic, [(number, 0, 7, 7, None, b"")])])

    async def send(_client: object, _node: int, _request: object) -> Any:
        return answer

    fetch = FetchRequest(1, 1, 1, 0, [("t", [(0, 7, 1)])])
    if taken:
        assert await comparing(send)(None, 1, fetch) is answer
    else:
        with pytest.raises(KafkaError, match="not asked for"):
            await comparing(send)(None, 1, fetch)


def test_a_fetch_without_aborted_transactions_is_read() -> None:
    sent = FetchResponse_v4(0, [("completed0", [(0, 0, 7, 7, None, b"")])])
    assert FetchResponse_v4.decode(sent.encode()) == sent


@pytest.mark.parametrize(
    "host,port", [("127.0.0.1", -1), ("127.0.0.1", 99_999), ("x" * 300, 9092), ("\0", 9092)]
)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_an_address_that_cannot_be_one_is_a_connection_that_fails(
    host: str, port: int, run: Callable[[Awaitable[Any]], Any]
) -> None:
    async def connect() -> None:
        await AIOKafkaConnection(host, port).connect()

    with pytest.raises((KafkaConnectionError, OSError)):
        run(connect())
