"""A client that finds no broker says why, soon."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from app.kafka import access
from app.kafka.access import explain
from app.kafka.patches import bootstrap_failures as module
from app.kafka.patches.bootstrap_failures import tell_why_none_answers, telling
from app.kafka.patches.unreadable_answers import Unreadable, refuse_unreadable_answers
from app.settings import KafkaSettings

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GIVEN_UP = 0.05


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", GIVEN_UP)
    monkeypatch.setattr(module, "_failed", set())
    monkeypatch.setattr(access, "unreadable", Unreadable())
    refuse_unreadable_answers()


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"\1")
        await asyncio.sleep(GIVEN_UP / 10)


async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await reader.read()


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def started(*servers: str) -> Any:
    client = AIOKafkaClient(bootstrap_servers=list(servers))
    try:
        await telling(AIOKafkaClient.bootstrap)(client)
    finally:
        await client.close()


@pytest.mark.parametrize("handler", [silence, drip])
async def test_a_server_that_does_not_answer_in_time_is_given_up(handler: Handler) -> None:
    async with asyncio.timeout(10), listening(handler) as server:
        with pytest.raises(KafkaConnectionError) as raised:
            await started(server)
    assert "no answer in time" in explain(raised.value, KafkaSettings())


async def test_what_is_not_kafka_is_named() -> None:
    async with asyncio.timeout(10), listening(ssh) as server:
        with pytest.raises(KafkaConnectionError) as raised:
            await started(server)
    told = explain(raised.value, KafkaSettings())
    assert f"{server} announces an answer of 1397966893 bytes" in told
    assert "PERSISTER_KAFKA_URL" in told


class Servers:
    """Those that a client is told of, and what each of them does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.failing: dict[str, Exception] = {}
        monkeypatch.setattr(module, "_ask", self._ask)

    async def _ask(self, _client: Any, host: str, _port: int) -> None:
        self.asked.append(host)
        if host in self.failing:
            raise self.failing[host]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


async def test_a_refusal_says_more_than_a_server_that_is_down(servers: Servers) -> None:
    refusal = SaslAuthenticationFailed("no")
    servers.failing = {"a": OSError("down"), "b": refusal, "c": TimeoutError()}
    with pytest.raises(KafkaConnectionError) as raised:
        await started("a:1", "b:1", "c:1")
    assert raised.value.__cause__ is refusal


async def test_a_server_that_has_failed_is_asked_last_by_the_next_client(servers: Servers) -> None:
    servers.failing = {"a": TimeoutError()}
    while "a" not in servers.asked:
        await started("a:1", "b:1")
    for _ in range(10):
        servers.asked.clear()
        await started("a:1", "b:1")
        assert servers.asked == ["b"]


def test_a_client_is_mended_once() -> None:
    tell_why_none_answers()
    mended = AIOKafkaClient.bootstrap
    tell_why_none_answers()
    assert AIOKafkaClient.bootstrap is mended
