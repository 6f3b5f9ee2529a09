"""A connection that the broker has closed, under uvloop."""

import asyncio
import inspect
from typing import Any

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.patches.closed_transport import mend_connections, reporting

ORIGINAL = inspect.unwrap(AIOKafkaConnection.send)


async def closed_connection() -> Any:
    """aiokafka's connection, of which only the transport is closed so far."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    connection = AIOKafkaConnection(host, port)
    connection._versions = {MetadataRequest.API_KEY: (0, 5)}
    connection._read_task = asyncio.ensure_future(asyncio.sleep(0))
    connection._reader, connection._writer = await asyncio.open_connection(host, port)
    connection._writer.transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.close()
    return connection


def test_aiokafka_is_not_prepared_for_what_uvloop_raises() -> None:
    async def write() -> None:
        await ORIGINAL(await closed_connection(), MetadataRequest([]))

    with pytest.raises(RuntimeError, match="closed"):
        uvloop.run(write())


def test_a_closed_transport_is_a_broken_connection() -> None:
    async def write() -> Any:
        connection = await closed_connection()
        with pytest.raises(KafkaConnectionError, match="broken"):
            await reporting(ORIGINAL)(connection, MetadataRequest([]))
        return connection

    assert not uvloop.run(write()).connected()


def test_every_connection_is_mended_once() -> None:
    mend_connections()
    once = AIOKafkaConnection.send
    mend_connections()
    assert AIOKafkaConnection.send is once
    assert once.applied.count(reporting) == 1
