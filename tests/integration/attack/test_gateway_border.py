"""Clients of the gateway that mean ill: nobody else notices, and nothing of it stays."""

import asyncio
import contextlib
import gzip
import json
import sys
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from dev.process import HOST
from tests.integration.attack.attacker import (
    ELSEWHERE,
    FRAMING,
    JSON,
    SECRET,
    Victim,
    answer,
    ended,
    statuses,
)
from tests.integration.support.records import Records, document

MB = 1024 * 1024

REFUSED = {400, 404, 408, 411, 413, 415, 421, 431, 501, 503}
"""Statuses of what is refused; or the connection just ends."""


async def test_connections_that_do_not_get_on(victim: Victim, scale: int) -> None:
    begun = victim.head(headers="Content-Length: 10")
    kinds = (b"", b"G", begun[:-20], begun, begun + b"{")
    readers = [await victim.connect(kinds[number % len(kinds)]) for number in range(300 * scale)]
    await victim.unharmed()
    closing = [ended(reader, 45) for reader in readers[-20:]]
    assert all(await asyncio.gather(*closing))
    log = victim.gateway.log()
    assert "Too many open files" not in log
    assert "connection from 127.0.0.2" in log


HAMMER = """
import asyncio, sys
async def ask(sent, port, host):
    while True:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(sys.argv[2], 0))
        try:
            while True:
                writer.write(sent)
                if not await reader.read(65536):
                    break
        except OSError:
            await asyncio.sleep(0.1)
        writer.close()
async def all_(kinds):
    asking = range(int(sys.argv[3]))
    port = int(sys.argv[1])
    await asyncio.gather(*(ask(kinds[n % len(kinds)], port, "127.0.0.1") for n in asking))
asyncio.run(all_(sys.stdin.buffer.read().split(b"\\0")))
"""
"""Sends the same requests as often as they are answered, on so many connections."""


@contextlib.asynccontextmanager
async def hammering(victim: Victim, connections: int, *requests: bytes) -> AsyncIterator[None]:
    """Have requests sent all the while, without a pause."""
    hammer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HAMMER, str(victim.gateway.port), ELSEWHERE, str(connections)),
        stdin=asyncio.subprocess.PIPE,
    )
    assert hammer.stdin is not None
    hammer.stdin.write(b"\0".join(requests))
    hammer.stdin.close()
    try:
        yield
    finally:
        hammer.kill()
        await hammer.wait()


async def test_requests_without_a_pause_on_many_connections(victim: Victim) -> None:
    """What anybody may ask for costs milliseconds; a write took seconds beside forty of them."""
    paths = ("/_gateway/metrics", "/_gateway/metrics", "/_gateway/health", "/")
    asked = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths]
    async with hammering(victim, 40, *asked):
        await victim.unharmed(writes=50, slowest=0.5)


@pytest.mark.parametrize("documents,size", [(1, 1_000_000), (200, 5000)])
async def test_documents_of_many_escapes_on_many_connections(
    victim: Victim, documents: int, size: int
) -> None:
    """Each connection had its turn: of a tenth of a second in the loop, for a megabyte."""
    records, now = Records(7), int(time.time() * 1000)
    logs = ['":' * (size // 3)]
    made = [document(records.one(namespace="a/b", logs=logs), now) for _ in range(documents)]
    body = json.dumps({"docs": made}).encode()
    sent = victim.head(headers=f"Content-Length: {len(body)}") + body
    async with hammering(victim, 8, sent):
        await victim.unharmed(writes=30, slowest=0.7)


async def test_bodies_that_are_announced_and_do_not_come(victim: Victim, scale: int) -> None:
    announced = victim.head(headers=f"Content-Length: {64 * MB}")
    readers = [await victim.connect(announced) for _ in range(20 * scale)]
    await victim.unharmed(writes=50)
    assert all(await asyncio.gather(*(ended(reader, 15) for reader in readers)))


def one_document(**changed: object) -> bytes:
    return json.dumps({"docs": [document(Records(1).one(**changed), 0)]}).encode()


def repeated(begin: bytes, unit: bytes, end: bytes, size: int = 60 * MB) -> bytes:
    return begin + unit * (size // len(unit)) + end


UNFOLDING: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: bytes(100 * MB),
    "numbers for documents": lambda: repeated(b'{"docs":[', b"1,", b"1]}"),
    "empty documents": lambda: repeated(b'{"docs":[', b"{},", b"{}]}"),
    "fields": lambda: repeated(b'{"docs":[],"a":1', b',"b":1', b"}"),
    "brackets": lambda: repeated(b'{"docs":', b"[", b""),
    "spaces": lambda: repeated(b"", b" ", one_document()),
    "values in a record": lambda: one_document(logs=[""] * 90_000, annotations=[]),
    "keys in a record": lambda: one_document(
        response={"statusCode": 0, "result": {f"k{n}": n for n in range(90_000)}}
    ),
    "more behind its end": one_document,
}
"""What a few kilobytes of gzip become."""


def packed(name: str) -> bytes:
    body = gzip.compress(UNFOLDING[name](), 9)
    return body * 1000 if name == "more behind its end" else body


async def test_bodies_that_unpack_to_a_thousand_times_their_size_do_no_harm(
    victim: Victim, scale: int
) -> None:
    bodies = await asyncio.to_thread(lambda: [packed(name) for name in UNFOLDING])
    requests = [
        victim.head(headers=f"Content-Encoding: gzip\r\nContent-Length: {len(body)}") + body
        for body in bodies
    ]
    readers = [await victim.connect(request) for request in requests * scale]
    reading = [asyncio.ensure_future(answer(reader)) for reader in readers]
    await victim.unharmed(writes=50, slowest=3)
    for task in reading:
        task.cancel()
    assert victim.grown < 400 * MB


async def test_requests_that_are_framed_as_none_may_be(victim: Victim, scale: int) -> None:
    readers = {}
    for name, rest in FRAMING.items():
        for _ in range(scale):
            readers[name] = await victim.connect(victim.head(headers=rest))
    answers = await asyncio.gather(*(answer(reader, 15) for reader in readers.values()))
    await victim.unharmed()
    found = {name: statuses(told) for name, told in zip(readers, answers, strict=True)}
    assert {name: taken for name, taken in found.items() if taken - REFUSED} == {}
    assert SECRET not in victim.gateway.log()
    assert len(victim.gateway.log()) < 50_000


@pytest.mark.parametrize("later", [False, True], ids=["same-piece", "later"])
async def test_trailers_lend_the_next_request_neither_credentials_nor_a_method(
    victim: Victim, *, later: bool
) -> None:
    """As behind a proxy that sends requests of several clients on one connection."""
    other = f"{victim.database}-other"
    body = json.dumps({"docs": [document(Records(5).one(), 0)]})
    sized = f"Content-Length: {len(body)}\r\n\r\n{body}"
    host = f"Host: {HOST}\r\n"
    signed = f"{host}Authorization: {victim.authorization}\r\n"
    cases = {
        f"Authorization: {victim.authorization}": (
            f"POST /{victim.database}/_bulk_docs HTTP/1.1\r\n{host}{JSON}{sized}"
        ),
        "X-HTTP-Method-Override: DELETE": f"POST /{other} HTTP/1.1\r\n{signed}{JSON}{sized}",
    }
    async with aiohttp.ClientSession() as http:
        await http.put(f"{victim.couchdb}/{other}")
        for trailer, next_request in cases.items():
            chunked = (
                f"GET / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n{trailer}\r\n\r\n"
            ).encode()
            if later:
                reader, writer = await victim.open(chunked)
                first = await reader.readuntil(b"\r\n\r\n")
                writer.write(next_request.encode())
                told = first + await answer(reader)
            else:
                told = await answer(await victim.connect(chunked + next_request.encode()))
            assert told.count(b"HTTP/1.1 ") == 1
            assert b"Connection: close" in told
        async with http.get(f"{victim.couchdb}/{other}") as there:
            assert there.status == 200
        await http.delete(f"{victim.couchdb}/{other}")
    await victim.unharmed()


async def test_a_web_page_writes_nothing_in_the_name_of_who_looks_at_it(victim: Victim) -> None:
    """A browser sends this for any page; it asks the server before it sends JSON."""
    record = Records(2).one()
    body = json.dumps({"docs": [document(record, 0)]}).encode()
    head = victim.head(headers=f"Origin: http://evil.example\r\nContent-Length: {len(body)}")
    for given in ("", "Content-Type: text/plain\r\n"):
        told = await answer(
            await victim.connect(head.replace(JSON.encode(), given.encode()) + body)
        )
        assert statuses(told) == {415}
    await victim.unharmed()


async def test_bodies_without_end(victim: Victim, scale: int) -> None:
    """Chunks for as long as they are taken: refused at the limit, not held in memory."""

    async def sent() -> tuple[int, bytes]:
        """How many megabytes were sent until there was an answer, and its first line."""
        reader, writer = await victim.open(
            victim.head(headers="Transfer-Encoding: chunked") + b"10000\r\n" + b"x" * 65_536
        )
        line = asyncio.ensure_future(reader.readline())
        number = 0
        try:
            async with asyncio.timeout(30):
                while not line.done():
                    writer.write(b"\r\n100000\r\n" + bytes(MB))
                    await writer.drain()
                    number += 1
            return number, await line
        except ConnectionError:
            # Closed behind its answer, which is lost when more was on its way than was read.
            return number, b""

    async def dripped() -> None:
        _, writer = await victim.open(victim.head(headers="Content-Length: 100000"))
        for _ in range(100):
            writer.write(b"x")
            await asyncio.sleep(0.1)

    dripping = [asyncio.ensure_future(dripped()) for _ in range(20 * scale)]
    refused = await asyncio.gather(*(sent() for _ in range(scale)))
    await victim.unharmed(writes=50, slowest=3)
    for task in dripping:
        task.cancel()
    assert all(not line or b" 413 " in line for _, line in refused)
    assert max(megabytes for megabytes, _ in refused) < 200
    assert victim.grown < 300 * MB


async def test_answers_that_nobody_reads(victim: Victim, scale: int) -> None:
    """A large document, asked for on many connections that do not read."""
    large = document(Records(3).one(logs=["x" * 1000] * 2000), 0)
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{victim.couchdb}/{victim.database}/_bulk_docs", json={"docs": [large]}
        ) as written,
    ):
        assert written.status == 201
    path = large["_id"].replace("/", "%2F")
    asked = victim.head("GET", path, headers="Accept: */*")
    for _ in range(20 * scale):
        reader = await victim.connect(asked)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
    await victim.unharmed(writes=50, slowest=3)
    assert victim.grown < 300 * MB
