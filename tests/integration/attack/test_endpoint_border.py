"""Clients of the worker's endpoint that mean ill: the worker goes on storing, and tells nothing."""

import asyncio
import gzip

import aiohttp

from dev.admin import Admin
from dev.process import HOST
from dev.starved import Stopwatch, ThisProcess
from tests.integration.attack.attacker import (
    ELSEWHERE,
    FRAMING,
    SECRET,
    answer,
    ended,
    statuses,
)
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained

MB = 1024 * 1024


async def test_connections_use_up_neither_files_nor_the_log(
    worker: StartWorker, admin: Admin, kafka_url: str, prefix: str, scale: int
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    running = await worker(partitions=2)
    port = int(running.url.rpartition(":")[2])
    before = len(running.log())
    streams = [
        await asyncio.open_connection(HOST, port, local_addr=(ELSEWHERE, 0))
        for _ in range(200 * scale)
    ]
    for _, writer in streams:
        writer.write(f"GET /status HTTP/1.1\r\nAuthorization: Basic {SECRET}\r\n".encode())
    malformed = f"GET / HTTP/1.1\r\nAuthorization Basic {SECRET}{'x' * 60_000}\r\n\r\n".encode()
    for _ in range(20 * scale):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(malformed)
        assert await ended(reader, 5)
        writer.close()
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/health/live") as answer:
        assert answer.status == 200
    async with producer(kafka_url) as kafka:
        await kafka.records(topic, Records(11).many(30))
    await drained(admin, prefix, topic)
    assert all(await asyncio.gather(*(ended(reader, 30) for reader, _ in streams[-20:])))
    for _, writer in streams:
        writer.close()
    written = running.log()[before:]
    assert SECRET not in written
    assert len(written) < 50_000


async def test_requests_that_are_none_or_never_end(worker: StartWorker, scale: int) -> None:
    running = await worker(partitions=2)
    port = int(running.url.rpartition(":")[2])
    before = len(running.log())
    begin = f"POST /status HTTP/1.1\r\nHost: {HOST}\r\n"
    bomb = gzip.compress(bytes(100 * MB))
    packed = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb
    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + bytes(MB) + b"\r\n") * 8
    rests = [*(rest.encode() for rest in FRAMING.values()), packed, chunks]
    streams = []
    for rest in rests * scale:
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=(ELSEWHERE, 0))
        writer.write(begin.encode() + rest)
        streams.append((reader, writer))
    unread = begin.replace("POST", "GET").replace("status", "metrics") + "\r\n"
    for _ in range(20 * scale):
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=(ELSEWHERE, 0))
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(unread.encode() * 50)
        streams.append((reader, writer))
    async with aiohttp.ClientSession() as http:
        for _ in range(20):
            watch = Stopwatch(ThisProcess(), running)
            async with http.get(f"{running.url}/health/live") as live:
                assert live.status == 200
            assert watch.seconds() < 2
    answers = await asyncio.gather(*(answer(reader, 15) for reader, _ in streams[: len(rests)]))
    for _, writer in streams:
        writer.close()
    assert set().union(*map(statuses, answers)) <= {400, 405, 408, 413, 431, 503}
    assert SECRET not in running.log()
    assert len(running.log()) - before < 50_000


async def test_a_trailer_lends_the_next_request_no_token(worker: StartWorker) -> None:
    running = await worker(partitions=2, web_host="0.0.0.0", web_token=SECRET)  # noqa: S104
    port = int(running.url.rpartition(":")[2])
    host, token = f"Host: {HOST}\r\n", f"Authorization: Bearer {SECRET}\r\n"
    asked = f"GET /status HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
    chunked = (
        f"GET /health/live HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n{token}\r\n"
    )
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write((chunked + asked).encode())
    assert (await answer(reader)).count(b"HTTP/1.1 ") == 1
    writer.close()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(chunked.encode())
    assert b"Connection: close" in await reader.readuntil(b"\r\n\r\n")
    writer.write(asked.encode())
    assert b"HTTP/1.1 " not in await answer(reader)
    writer.close()


async def test_a_page_of_a_stranger_reads_nothing(worker: StartWorker) -> None:
    running = await worker(partitions=2)
    async with aiohttp.ClientSession() as http:
        for path in ("/status", "/metrics", "/health/ready"):
            url = f"{running.url}{path}"
            async with http.get(url, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 421
            async with http.get(url) as answer:
                assert answer.status == 200
