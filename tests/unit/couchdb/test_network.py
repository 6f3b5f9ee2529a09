"""What is said of a database that cannot be reached: plain words, and no names of classes."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.couchdb import DatabaseError, connected
from app.couchdb.network import network_error
from app.settings import DatabaseSettings


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


async def told(url: str) -> str:
    async with connected(DatabaseSettings(url=url, request_timeout=2.0)) as database:
        with pytest.raises(DatabaseError) as raised:
            await database.info()
    return str(raised.value)


async def test_nobody_listens() -> None:
    with listening() as server:
        port = server.getsockname()[1]
    assert await told(f"http://127.0.0.1:{port}") == (
        f"no connection: 127.0.0.1, port {port}: Connection refused"
    )


async def test_a_name_that_is_none() -> None:
    said = await told("http://couchdb.invalid:5984")
    assert said.startswith("no connection: couchdb.invalid, port 5984: ")
    assert "ssl:default" not in said


async def test_https_is_not_spoken_there() -> None:
    with listening() as server:
        # Nothing that CouchDB would take for a request comes, so it says nothing.
        assert "in time" in await told(f"https://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    "error,said",
    [
        (ConnectionResetError(104, "x"), "the connection was cut: Connection reset by peer"),
        (TimeoutError(), "no answer in time"),
        (ssl.SSLError(1, "handshake"), "the connection was cut: "),
        (ValueError("x"), "the connection was cut (ValueError)"),
    ],
)
def test_what_happens_later(error: Exception, said: str) -> None:
    assert str(network_error(error)).startswith(said)
