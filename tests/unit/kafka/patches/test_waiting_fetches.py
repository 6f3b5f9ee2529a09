"""Fetches that wait at the broker, and what must not wait behind them."""

import asyncio
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.patches.waiting_fetches import fetch_apart

FETCH = FetchRequest(1500, 1, 1, 0, [], "")
METADATA = MetadataRequest([])


class Connection:
    """One to a broker, which answers in order and lets fetches wait."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Client:
    """aiokafka's client with one broker, in front of which connections are made when needed."""

    def __init__(self) -> None:
        self._conns: dict[tuple[str, object], Connection] = {}

    async def send(self, node: str, request: Any, *, group: object = "default") -> str:
        connection = self._conns.get((node, group))
        if connection is None or connection.closed:
            connection = self._conns[node, group] = Connection()
        await connection.free.wait()
        if isinstance(request, FetchRequest):
            connection.free.clear()
            await asyncio.Event().wait()
        return "answered"


@pytest.fixture
async def client() -> Client:
    made = Client()
    fetch_apart(made)
    return made


async def test_a_question_is_answered_while_a_fetch_waits(client: Client) -> None:
    fetch = asyncio.create_task(client.send("broker", FETCH))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await client.send("broker", METADATA) == "answered"
        assert await client.send("broker", METADATA, group="group")
    assert not fetch.done()
    fetch.cancel()


async def test_a_fetch_does_not_wait_behind_one_that_was_given_up(client: Client) -> None:
    given_up = asyncio.create_task(client.send("broker", FETCH))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert [one.closed for one in client._conns.values()] == [True]
    fetch = asyncio.create_task(client.send("broker", FETCH))
    await asyncio.sleep(0)
    [connection] = client._conns.values()
    assert not connection.closed
    assert not connection.free.is_set()  # the broker has taken the new one
    fetch.cancel()


async def test_one_that_never_had_a_connection_may_be_given_up(client: Client) -> None:
    async def connecting(node: str, request: Any, *, group: object = "default") -> str:
        del node, request, group
        await asyncio.Event().wait()
        return "never"

    setattr(client, "send", connecting)  # noqa: B010 - as the patch does it
    fetch_apart(client)
    fetch = asyncio.create_task(client.send("broker", FETCH))
    await asyncio.sleep(0)
    fetch.cancel()
    await asyncio.wait([fetch])
    assert fetch.cancelled()
