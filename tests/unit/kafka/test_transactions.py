"""The log of replays is written in bounded time, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.kafka import producer, transactions
from app.kafka.transactions import TransactionalProducer, open_transactional_producer
from app.settings import KafkaSettings


class Hanging:
    """A client of a Kafka that does not answer: it hangs where it is told to."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.closed = False

    async def _reach(self, where: str) -> None:
        if where == self._where:
            await asyncio.Event().wait()

    async def start(self) -> None:
        await self._reach("start")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._reach("abort")

    async def send(self, *_: Any) -> None:
        await self._reach("send")
        if self._where == "abort":
            await asyncio.Event().wait()

    async def stop(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "ANSWER_SECONDS", 0.02)
    monkeypatch.setattr(producer, "_fail_what_is_left", lambda _client: None)


@pytest.mark.parametrize("where", ["send", "abort"])
async def test_a_write_that_is_not_answered_ends(where: str) -> None:
    client: Any = Hanging(where)
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            await TransactionalProducer(client).write("log", [(b"key", b"value")])


async def test_a_start_that_is_not_answered_ends_and_disconnects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Hanging("start")
    monkeypatch.setattr(transactions, "AIOKafkaProducer", lambda **_: client)
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            async with open_transactional_producer(KafkaSettings(), "log"):
                raise AssertionError
    assert client.closed


async def test_a_producer_that_gets_no_id_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Hanging("start")
    monkeypatch.setattr(producer, "START_SECONDS", 0.02)
    monkeypatch.setattr(producer, "AIOKafkaProducer", lambda **_: client)
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            async with producer.open_producer(KafkaSettings()):
                raise AssertionError
    assert client.closed


async def test_what_is_answered_is_written() -> None:
    client: Any = Hanging("nowhere")
    await TransactionalProducer(client).write("log", [(b"key", b"value")])
