"""Answers that are not what Kafka's protocol says, on aiokafka's own connection."""

import asyncio
import inspect
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v4
from aiokafka.protocol.metadata import MetadataRequest, MetadataResponse_v5

from app.kafka.patches import unreadable_answers
from app.kafka.patches.unreadable_answers import (
    EMPTY_SECONDS,
    LARGEST,
    LATELY_SECONDS,
    Unreadable,
    UnreadableAnswerError,
    connecting,
    refuse_unreadable_answers,
)
from tests.fakes.time import Time

VERSIONS = {MetadataRequest.API_KEY: (5, 5), FetchRequest.API_KEY: (4, 4)}
BROKERS = [(1, "kafka-1", 9092, None)]
TOPIC: Any = (0, "completed0", False, [(0, 0, 1, [1], [1], [])])
LARGEST_FETCH = 2 * LARGEST
METHODS = ("connect", "send", "_handle_frame", "_read")


def whole(topics: Any, brokers: Any = BROKERS) -> bytes:
    encoded: bytes = MetadataResponse_v5(0, brokers, "cluster", 1, topics).encode()
    return encoded


def announced(size: int, frame: bytes = b"") -> bytes:
    """An answer of which the length is said to be another one."""
    return struct.pack(">ii", size, 1) + frame


def sent(frame: bytes) -> bytes:
    """An answer to the first question on a connection."""
    return announced(4 + len(frame), frame)


def batch(size: int) -> bytes:
    """What begins as a batch of records does."""
    return struct.pack(">qi", 7, size) + bytes(size)


@pytest.fixture(autouse=True)
def _patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of its own, whatever other tests have patched."""
    for name in METHODS:
        method = inspect.unwrap(getattr(AIOKafkaConnection, name))
        monkeypatch.setattr(
            AIOKafkaConnection, name, staticmethod(method) if name == "_read" else method
        )
    monkeypatch.setattr(logging.getLogger("aiokafka.conn"), "filters", [])
    refuse_unreadable_answers(LARGEST_FETCH)


METADATA = MetadataRequest([])


def fetch(max_wait_ms: int = 500) -> FetchRequest:
    return FetchRequest(max_wait_ms, 1, 1, 0, [("completed0", [(0, 7, 1)])])


async def answered(*answers: bytes, question: Request[Any] = METADATA) -> Any:
    """What aiokafka makes of these bytes; the rest is silence."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        for one in answers:
            writer.write(one)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    connection = AIOKafkaConnection(host, port, request_timeout_ms=20_000)
    connection._closed_fut = asyncio.get_running_loop().create_future()
    connection._versions = VERSIONS
    connection._reader, connection._writer = await asyncio.open_connection(host, port)
    connection._read_task = connection._create_reader_task()
    try:
        return await connection.send(question)
    finally:
        connection.close()
        server.close()


async def test_what_is_as_it_should_be_is_passed_on() -> None:
    answer = await answered(sent(whole([TOPIC])))
    assert answer.topics[0][1] == "completed0"


async def test_a_large_answer_is_read_to_its_end() -> None:
    records = batch(LARGEST)
    answer = FetchResponse_v4(0, [("completed0", [(0, 0, 7, 7, None, records)])])
    fetched = await answered(sent(answer.encode()), question=fetch())
    assert fetched == answer


@pytest.mark.parametrize(
    "frame,why",
    [
        (whole([])[:-3], "cannot be read: ValueError"),
        (b"\xff" * 40, "cannot be true: brokers is null"),
        (b"", "cannot be read: ValueError"),
        (whole(None), "cannot be true: topics is null"),
        (whole([(0, "completed0", False, None)]), "cannot be true: partitions is null"),
        (whole([(0, None, False, [])]), "cannot be true: topic is null"),
        (whole([], []), "cannot be true: it names no broker"),
    ],
    ids=["cut", "ones", "empty", "no topics", "no partitions", "no name", "no brokers"],
)
async def test_what_cannot_be_breaks_the_connection(
    frame: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(KafkaConnectionError) as raised:
        await answered(sent(frame))
    # What a command tells, which has no log.
    assert isinstance(raised.value.__cause__, UnreadableAnswerError)
    assert why in str(raised.value.__cause__)
    (line,) = caplog.records
    assert why in line.getMessage()
    assert line.exc_info is None


async def test_the_answer_to_another_question_is_none() -> None:
    frame = whole([TOPIC])
    with pytest.raises(KafkaConnectionError) as raised:
        await answered(struct.pack(">ii", 4 + len(frame), 7) + frame)
    assert "another question" in str(raised.value.__cause__)


@pytest.mark.parametrize(
    "size,question",
    [(-5, METADATA), (2**31 - 1, METADATA), (LARGEST + 1, METADATA), (LARGEST_FETCH + 1, fetch())],
)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_length_that_cannot_be_breaks_the_connection_at_once(
    size: int,
    question: Request[Any],
    run: Callable[[Awaitable[Any]], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ask() -> None:
        async with asyncio.timeout(2):
            await answered(announced(size), question=question)

    with caplog.at_level(logging.WARNING), pytest.raises(KafkaConnectionError):
        run(ask())
    (line,) = [line for line in caplog.records if line.name.startswith("aiokafka")]
    assert f"announces an answer of {size} bytes" in line.getMessage()
    assert line.exc_info is None


async def test_an_answer_that_stops_breaks_the_connection_soon(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable_answers, "STALLED_SECONDS", 0.1)
    with caplog.at_level(logging.WARNING), pytest.raises(KafkaConnectionError):
        await answered(announced(1_000_000, b"x" * 96))
    assert "stops after 100 of 1000000 bytes" in caplog.text


async def test_a_broker_at_no_possible_address_is_left_out_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    nowhere = [(2, "", 9092, None), (3, "kafka\n3", 70_000, None)]
    answer = await answered(sent(whole([TOPIC], [*BROKERS, *nowhere])))
    assert answer.brokers == BROKERS
    assert [line.getMessage() for line in caplog.records] == [
        "Broker 2 is told to be at :9092, where none can be: it counts as unreachable",
        r"Broker 3 is told to be at kafka\n3:70000, where none can be: it counts as unreachable",
    ]


def fetched(records: bytes, error: int = 0) -> bytes:
    answer = FetchResponse_v4(0, [("completed0", [(0, error, 7, 7, None, records)])])
    return sent(answer.encode())


@pytest.mark.parametrize(
    "answer", [fetched(b""), fetched(batch(20), error=2)], ids=["empty", "with an error"]
)
async def test_a_fetch_that_brings_nothing_at_once_is_not_followed_by_the_next_at_once(
    answer: bytes,
) -> None:
    began = asyncio.get_running_loop().time()
    await answered(answer, question=fetch())
    assert asyncio.get_running_loop().time() - began >= EMPTY_SECONDS


@pytest.mark.parametrize(
    "records,max_wait_ms", [(batch(20), 20_000), (b"", 1)], ids=["records", "no wait"]
)
async def test_what_brings_something_or_was_not_to_wait_is_passed_on_at_once(
    records: bytes, max_wait_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable_answers, "EMPTY_SECONDS", 20.0)
    async with asyncio.timeout(10):
        await answered(fetched(records), question=fetch(max_wait_ms))


@pytest.mark.parametrize(
    "host,port", [("127.0.0.1", -1), ("127.0.0.1", 99_999), ("x" * 300, 9092), ("\0", 9092)]
)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_an_address_that_cannot_be_one_is_a_connection_that_fails(
    host: str, port: int, run: Callable[[Awaitable[Any]], Any]
) -> None:
    async def connect() -> None:
        await connecting(AIOKafkaConnection.connect)(AIOKafkaConnection(host, port))

    with pytest.raises((KafkaConnectionError, OSError)):
        run(connect())


def test_every_connection_is_changed_once() -> None:
    once = [getattr(AIOKafkaConnection, name) for name in METHODS[:-1]]
    refuse_unreadable_answers()
    assert [getattr(AIOKafkaConnection, name) for name in METHODS[:-1]] == once


def test_the_last_unreadable_answer_is_told_for_a_while() -> None:
    time = Time()
    unreadable = Unreadable(time.clock)
    assert unreadable.told == ""
    unreadable.note("broker:9092 announces an answer of -5 bytes")
    assert "announces" in unreadable.told
    time.now += LATELY_SECONDS
    assert unreadable.told == ""
