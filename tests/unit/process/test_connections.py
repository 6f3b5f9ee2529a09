"""A small server behind bounded connections, and clients that misbehave, over real sockets."""

import asyncio
import contextlib
import socket
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from aiohttp import web

from app.process.connections import (
    BoundedSite,
    Closed,
    Connection,
    Connections,
    Patience,
    places,
)

PATIENCE = 30
"""Seconds after which something is said not to happen at all; it takes a tenth of one."""

LINGERING = 10
"""Seconds for which aiohttp waits for what is left of a body once it has answered."""

CLIENTS = 5

HASTE = Patience(head=0.05, first=0.05, body=0.05, answer=0.05)
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
GET = HEAD + b"\r\n"
CHUNKED = HEAD.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the server says nothing
            await asyncio.sleep(0.001)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the server closes the connection without a byte."""
    async with asyncio.timeout(PATIENCE):
        try:
            return not await reader.read(1)
        except ConnectionResetError:
            return True


class Reading(Connections):
    """Counts the pieces that were parsed; each takes as long as it is said to, if it is."""

    pieces = 0
    seconds: float | None = None

    def parsed(self, connection: Connection, seconds: float) -> None:
        self.pieces += 1
        super().parsed(connection, self.seconds or seconds)


@dataclass
class Running:
    """A server that answers each request, after `gate` when there is one."""

    port: int
    connections: Reading
    closed: Counter[Closed]
    gate: asyncio.Event
    entered: asyncio.Event
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, sent: bytes = b"", address: str = "127.0.0.1") -> asyncio.StreamReader:
        """A client's connection, after the server has taken it or not."""
        before = self.counts()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(address, 0)
        )
        self.writers.append(writer)
        writer.write(sent)
        await until(lambda: before != self.counts())
        return reader

    def counts(self) -> tuple[int, int, int]:
        """Places taken, those waiting for one, and what was closed."""
        return len(self.connections), self.connections.waiting, self.closed.total()


Start = Callable[..., Awaitable[Running]]


@contextlib.asynccontextmanager
async def bounded(
    limit: int = 100, patience: Patience | None = None, waiting: int = 0
) -> AsyncIterator[Running]:
    closed: Counter[Closed] = Counter()

    def count(why: Closed) -> None:
        closed[why] += 1

    connections = Reading(limit, patience, waiting=waiting, closed=count)
    running = Running(0, connections, closed, asyncio.Event(), asyncio.Event())
    running.gate.set()

    async def answer(request: web.Request) -> web.Response:
        running.entered.set()
        await running.gate.wait()
        if request.path == "/large":
            return web.Response(body=b"x" * 50_000_000)
        if request.path == "/refused":
            raise web.HTTPForbidden
        body = await request.read()
        return web.Response(text=f"{len(body)} bytes")

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, max_field_size=65_536, shutdown_timeout=0.1)
    await runner.setup()
    site = BoundedSite(runner, "127.0.0.1", 0, connections)
    await site.start()
    running.port = site.port
    yield running
    running.gate.set()
    for writer in running.writers:
        writer.close()
    await runner.cleanup()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with contextlib.AsyncExitStack() as stack:

        async def server(**options: Any) -> Running:
            return await stack.enter_async_context(bounded(**options))

        yield server


@pytest.mark.parametrize(
    "soft,most,each,expected",
    [
        (1024, 1000, 2, 448),
        (1024, 1000, 8, 112),
        (1024, 64, 8, 64),
        (100_000, 1000, 2, 1000),
        (128, 1000, 2, 32),
        (1, 1000, 2, 4),
        (-1, 1000, 2, 1000),
    ],
)
def test_connections_leave_files_for_everything_else(
    soft: int, most: int, each: int, expected: int
) -> None:
    assert places(most, files_each=each, soft_limit=soft) == expected


@pytest.mark.parametrize(
    "sent,why",
    [
        (b"", Closed.HEAD),
        (b"G", Closed.HEAD),
        (HEAD, Closed.HEAD),
        (HEAD + b"Content-Length: 5\r\n\r\nab", Closed.BODY),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", Closed.BODY),
    ],
)
async def test_what_does_not_come_is_not_waited_for(start: Start, sent: bytes, why: Closed) -> None:
    running = await start(patience=HASTE)
    reader = await running.connect(sent)
    assert await ended(reader)
    assert running.closed == {why: 1}
    assert len(running.connections) == 0


async def test_a_head_that_dribbles_in_is_closed_all_the_same(start: Start) -> None:
    running = await start(patience=HASTE)
    await running.connect(HEAD)
    async with asyncio.timeout(PATIENCE):
        while len(running.connections):
            running.writers[0].write(b"X-A: b\r\n")
            await asyncio.sleep(0.01)
    assert running.closed == {Closed.HEAD: 1}


@pytest.mark.parametrize(
    "framing,piece",
    [(b"Content-Length: 100000", b"a"), (b"Transfer-Encoding: chunked", b"1\r\na\r\n")],
)
async def test_a_body_that_drips_is_given_up(start: Start, framing: bytes, piece: bytes) -> None:
    running = await start(patience=Patience(body=PATIENCE, whole=0.05))
    await running.connect(HEAD + framing + b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        while len(running.connections):
            running.writers[0].write(piece)
            await asyncio.sleep(0.01)
    assert running.closed == {Closed.BODY: 1}


async def test_the_rest_of_a_body_is_not_awaited_from_a_client_that_is_gone(start: Start) -> None:
    running = await start()
    before = asyncio.all_tasks()
    reader = await running.connect(
        b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 403")
    (handling,) = asyncio.all_tasks() - before
    running.writers.pop().transport.abort()
    async with asyncio.timeout(LINGERING / 2):
        await asyncio.wait([handling])


async def test_a_large_body_may_take_longer(start: Start) -> None:
    running = await start(patience=Patience(body=PATIENCE, whole=0.01))
    reader = await running.connect(HEAD + b"Content-Length: 1000001\r\n\r\n" + bytes(1_000_000))
    await asyncio.sleep(1.1)  # two looks
    running.writers[0].write(b"x")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert not running.closed


async def test_a_second_request_that_is_not_complete_is_closed_too(start: Start) -> None:
    running = await start(patience=HASTE)
    reader = await running.connect(HEAD + b"\r\n")
    await reader.readuntil(b"0 bytes")
    running.writers[0].write(HEAD)
    assert await ended(reader)
    assert running.closed == {Closed.HEAD: 1}


async def test_an_answer_that_nobody_reads_is_given_up(start: Start) -> None:
    running = await start(patience=HASTE)
    await running.connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    running.writers[0].transport.pause_reading()  # type: ignore[attr-defined]
    await until(lambda: bool(running.closed))
    assert running.closed == {Closed.ANSWER: 1}


async def test_who_waits_for_an_answer_is_left_alone(start: Start) -> None:
    running = await start(patience=HASTE)
    running.gate.clear()
    reader = await running.connect(HEAD + b"Content-Length: 2\r\n\r\nab")
    await asyncio.sleep(0.7)  # longer than all patience and a sweep
    running.gate.set()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert not running.closed


async def test_a_head_without_end_is_cut_off(start: Start) -> None:
    running = await start()
    reader = await running.connect(HEAD)
    running.writers[0].write((b"X-A: " + b"b" * 60_000 + b"\r\n") * 20)
    assert await ended(reader)


LARGE = HEAD + b"".join(b"X-%d: %b\r\n" % (number, b"b" * 60_000) for number in range(4)) + b"\r\n"


MORE_THAN_THE_KERNEL_TAKES = 80_000_000
"""Bytes that no socket buffers hold, on either side."""


async def test_requests_that_wait_for_others_are_not_read(start: Start) -> None:
    running = await start()
    running.gate.clear()
    await running.connect(GET)
    await running.entered.wait()
    writer = running.writers[0]
    writer.write(LARGE * (MORE_THAN_THE_KERNEL_TAKES // len(LARGE)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await writer.drain()
    assert running.connections.heads < 16 * len(LARGE)


SHORT = HEAD + b"".join(b"%x:\r\n" % number for number in range(120)) + b"\r\n"


async def test_headers_count_for_what_they_take_of_memory(start: Start) -> None:
    running = await start()
    running.gate.clear()
    await running.connect(SHORT)
    await running.entered.wait()
    assert running.connections.heads > 30_000


async def test_many_short_headers_fill_no_memory(start: Start) -> None:
    running = await start(limit=400)
    running.gate.clear()
    for _ in range(60):
        await running.connect(SHORT * 100, "127.0.0.2")
    honest = await running.connect(GET)
    assert running.connections.heads < 33 * 1024 * 1024
    assert running.closed[Closed.HEADS] >= 20
    running.gate.set()
    assert (await honest.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", HEAD + b"Content-Length: 2\r\n\r\na"])
async def test_what_follows_a_request_in_the_same_piece_counts(start: Start, before: bytes) -> None:
    running = await start()
    running.gate.clear()
    await running.connect(before)
    if before:
        await running.entered.wait()
    running.writers[0].write((b"b" if before else GET) + HEAD + b"X-A: " + b"b" * 50_000)
    await until(lambda: running.connections.heads > 50_000)
    assert running.connections.heads < 60_000


async def test_a_body_that_is_late_behind_others_is_no_head(start: Start) -> None:
    running = await start()
    running.gate.clear()
    body = b"x" * 600_000
    reader = await running.connect(
        GET * 40 + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + body[:50]
    )
    await running.entered.wait()
    running.gate.set()
    running.writers[0].write(body[50:] + GET)
    for size in [0] * 40 + [600_000, 0]:
        answer = await reader.readuntil(b" bytes")
        assert answer.endswith(b"\r\n\r\n%d bytes" % size)
    assert running.connections.heads < 5000
    assert not running.closed


async def test_who_has_the_most_heads_goes_when_there_is_no_room(start: Start) -> None:
    running = await start(limit=400)
    running.gate.clear()
    many = [await running.connect(LARGE, "127.0.0.2") for _ in range(80)]
    honest = await running.connect(GET)
    # All of them count, those too that are only about to be handled.
    await until(lambda: running.closed[Closed.HEADS] == 34)
    assert running.connections.heads < 33 * 1024 * 1024
    running.gate.set()
    assert (await honest.readline()).startswith(b"HTTP/1.1 200")
    answered = [reader for reader in many if not reader.at_eof()]
    assert len(answered) >= 30


TRAILERS = CHUNKED + b"1\r\na\r\n0\r\n" + (b"X-A: " + b"b" * 45_000 + b"\r\n") * 2


async def test_trailers_count_as_heads(start: Start) -> None:
    running = await start(limit=400)
    for _ in range(400):
        await running.connect(TRAILERS, "127.0.0.2")
    await until(lambda: running.closed[Closed.HEADS] > 100)
    assert 16 * 1024 * 1024 < running.connections.heads < 33 * 1024 * 1024


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_trailers_without_an_end_end_the_connection(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def sent() -> int:
        async with bounded() as running:
            reader = await running.connect(TRAILERS + b"X-B: b\r\n" * 5000)
            assert await ended(reader)
            return running.closed[Closed.BROKEN]

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(sent()) == 1


async def test_a_body_in_any_pieces_is_no_trailer(start: Start) -> None:
    running = await start()
    sizes = [1, 50_000, 3, 200_000]
    chunks = b"".join(b"%x;%b\r\n%b\r\n" % (n, b"e" * 5000, b"x" * n) for n in sizes)
    reader = await running.connect(CHUNKED + chunks + b"0\r\nX-A: " + b"b" * 50_000 + b"\r\n\r\n")
    assert b"%d bytes" % sum(sizes) in await reader.readuntil(b"bytes")


async def test_heads_of_answered_requests_leave_room(start: Start) -> None:
    running = await start(limit=400)
    for _ in range(80):
        reader = await running.connect(LARGE)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert not running.closed


async def test_heads_and_not_bodies_are_counted(start: Start) -> None:
    running = await start()
    running.gate.clear()
    body = b"x" * 50_000
    await running.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + body)
    await running.entered.wait()
    assert 0 < running.connections.heads < 5000


async def test_a_newcomer_gets_the_place_of_one_that_waits(start: Start) -> None:
    running = await start(limit=8)
    idle = [await running.connect(HEAD, "127.0.0.2") for _ in range(6)]
    for _ in range(3):  # two places are free
        reader = await running.connect(HEAD + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert running.closed == {Closed.EVICTED: 1}
    assert await ended(idle[0])
    assert len(running.connections) == 8


async def test_one_address_never_has_all_places(start: Start) -> None:
    running = await start(limit=8)
    running.gate.clear()
    for _ in range(6):
        await running.connect(HEAD + b"\r\n", "127.0.0.2")
    refused = await running.connect(HEAD + b"\r\n", "127.0.0.2")
    head, _, body = (await refused.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"Content-Length: {len(body)}".encode() in head
    assert running.closed == {Closed.FULL: 1}
    reader = await running.connect(HEAD + b"\r\n")
    running.gate.set()
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_bodies_on_their_way_do_not_keep_others_out(start: Start) -> None:
    running = await start(limit=8)
    for address in ("127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"):
        await running.connect(HEAD + b"Content-Length: 5\r\n\r\nab", address)
    for _ in range(3):
        reader = await running.connect(HEAD + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert len(running.connections) == 8


async def test_requests_in_a_row_are_answered_in_order(start: Start) -> None:
    running = await start(patience=HASTE)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    sent = b"".join(post % size + b"x" * size for size in (3, 0, 100_000, 7))
    reader = await running.connect(sent)
    for size in (3, 0, 100_000, 7):
        await reader.readuntil(b"\r\n\r\n%d bytes" % size)
    assert not running.closed


async def test_a_place_is_given_back(start: Start) -> None:
    running = await start(limit=4)
    for _ in range(20):
        reader = await running.connect(HEAD + b"Connection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"0 bytes")
    await until(lambda: not len(running.connections))
    assert not running.closed


@pytest.mark.parametrize("behind", [HEAD + b"\r\n", HEAD, b"x" * 20])
async def test_what_comes_behind_a_wish_for_another_protocol_is_not_lost_in_silence(
    start: Start, behind: bytes
) -> None:
    running = await start()
    upgrade = HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    reader = await running.connect(upgrade + b"\r\n" + behind)
    answer = await reader.read()
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in answer


async def test_what_is_sent_through_a_tunnel_that_there_is_not_is_no_request(start: Start) -> None:
    running = await start()
    tunnel = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
    answer = await (await running.connect(tunnel + GET)).read()
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("chunks", [1, 300_000])
async def test_a_body_whose_framing_breaks_ends_its_connection(start: Start, chunks: int) -> None:
    running = await start()
    running.gate.clear()
    reader = await running.connect(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await running.entered.wait()
    # Many of them stay with the parser, which is held until the request is read.
    running.writers[0].write(b"1\r\na\r\n" * chunks + b"no size\r\n")
    running.gate.set()
    assert await ended(reader)
    assert running.closed == {Closed.BROKEN: 1}
    assert len(running.connections) == 0


async def test_an_error_behind_a_request_does_not_harm_it(start: Start) -> None:
    running = await start()
    running.gate.clear()
    reader = await running.connect(HEAD + b"Content-Length: 1\r\n\r\na")
    await running.entered.wait()
    running.writers[0].write(b"no request\r\n\r\n")
    running.gate.set()
    answers = await reader.read()
    assert b"1 bytes" in answers
    assert b"400 Bad Request" in answers


def held_up(connections: Connections) -> bool:
    """Whether nothing more is read on any of them."""
    return all(one.busy and not one.sends for one in connections._open)


@pytest.mark.parametrize("loops", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "header,body",
    [
        (b"Content-Length: 10000000", b"x" * 10_000_000),
        (b"Transfer-Encoding: chunked", b"2\r\nab\r\n" * 1_000_000),
        (b"Transfer-Encoding: chunked", (b"f000\r\n" + b"x" * 0xF000 + b"\r\n") * 100),
    ],
    ids=["whole", "tiny-chunks", "large-chunks"],
)
def test_a_body_that_nobody_reads_yet_takes_little_memory(
    loops: Callable[..., None], header: bytes, body: bytes
) -> None:
    sent = HEAD + header + b"\r\n\r\n" + body

    async def run() -> None:
        async with bounded(limit=200) as server, contextlib.AsyncExitStack() as stack:
            server.gate.clear()
            tracemalloc.start()
            stack.callback(tracemalloc.stop)
            before = tracemalloc.get_traced_memory()[0]
            for number in range(CLIENTS):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.setblocking(False)
                left = memoryview(sent)
                while len(server.connections) <= number or not held_up(server.connections):
                    with contextlib.suppress(BlockingIOError):
                        left = left[client.send(left) :]
                    await asyncio.sleep(0)
                assert left
            taken = tracemalloc.get_traced_memory()[0] - before
            assert taken / CLIENTS < 150_000

    loops(run())


class TestWaitingForAPlace:
    async def test_who_waits_is_served_when_a_place_is_given_back(self, start: Start) -> None:
        server = await start(limit=1, waiting=2)
        server.gate.clear()
        first = await server.connect(GET)
        await server.entered.wait()
        second = await server.connect(GET)
        assert server.counts() == (1, 1, 0)
        server.gate.set()
        assert (await first.readline()).startswith(b"HTTP/1.1 200 ")
        server.writers[0].close()
        assert (await second.readline()).startswith(b"HTTP/1.1 200 ")
        assert server.counts() == (1, 0, 0)

    async def test_or_when_one_waits_for_its_next_request(self, start: Start) -> None:
        server = await start(limit=1, waiting=2)
        server.gate.clear()
        first = await server.connect(GET)
        await server.entered.wait()
        second = await server.connect(GET)
        server.gate.set()
        assert (await second.readline()).startswith(b"HTTP/1.1 200 ")
        assert (await first.readline()).startswith(b"HTTP/1.1 200 ")
        assert server.closed == {Closed.EVICTED: 1}

    @pytest.mark.parametrize("loops", [asyncio.run, uvloop.run])
    def test_all_who_wait_are_served_in_turn(self, loops: Callable[..., None]) -> None:
        async def run() -> None:
            async with bounded(limit=2, waiting=8) as server:
                server.gate.clear()
                post = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n"
                readers = [await server.connect(post + b"\r\nhello")]
                await server.entered.wait()
                readers += [await server.connect(post + b"\r\nhello") for _ in range(4)]
                assert server.counts() == (1, 4, 0)
                server.gate.set()
                for reader in readers:
                    assert (await reader.read()).endswith(b"5 bytes")
                assert not server.closed

        loops(run())

    async def test_who_waits_too_long_is_not_answered(self, start: Start) -> None:
        server = await start(limit=1, waiting=2, patience=Patience(place=0.05))
        server.gate.clear()
        await server.connect(GET)
        await server.entered.wait()
        assert await ended(await server.connect(GET))
        assert server.counts() == (1, 0, 1)
        assert server.closed == {Closed.FULL: 1}

    async def test_no_more_wait_than_may(self, start: Start) -> None:
        server = await start(limit=1, waiting=4)
        server.gate.clear()
        await server.connect(GET)
        await server.entered.wait()
        for _ in range(3):
            await server.connect(GET)
        assert await ended(await server.connect(GET))
        assert server.counts() == (1, 3, 1)
        await server.connect(GET, "127.0.0.2")
        assert server.counts() == (1, 4, 1)
        assert await ended(await server.connect(GET, "127.0.0.3"))

    async def test_what_leaves_while_it_waits_takes_no_place(self, start: Start) -> None:
        server = await start(limit=1, waiting=4)
        server.gate.clear()
        await server.connect(GET)
        await server.entered.wait()
        await server.connect(GET)
        server.writers[1].close()
        third = await server.connect(GET)
        server.gate.set()
        server.writers[0].close()
        assert (await third.readline()).startswith(b"HTTP/1.1 200 ")
        await until(lambda: server.connections.waiting == 0)


class Busy:
    """A connection of an address of its own, whose request is being handled."""

    busy, sends, since = True, False, 0.0

    def __init__(self, number: int) -> None:
        self.address = f"2001:db8::{number}"

    def begin(self) -> None:
        """Go on."""


class Looking(Connections):
    """Counts how often all connections are gone through."""

    looks = 0

    def _victim(self, address: str | None, *, receiving: bool = False) -> Any:
        self.looks += 1
        return super()._victim(address, receiving=receiving)


async def test_many_addresses_that_wait_cost_no_more_than_one() -> None:
    connections = Looking(20, waiting=1000)

    there: list[Any] = [Busy(number) for number in range(20)]
    assert all(map(connections.admit, there))
    for number in range(700):
        newcomer: Any = Busy(number)
        assert not connections.admit(newcomer)
        assert connections.wait(newcomer)
    connections.looks = 0
    connections.forget(there[0])
    assert connections.waiting == 699
    assert connections.looks < 10


CHUNKS = CHUNKED + b"1\r\na\r\n" * 5000


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_one_address_sends_on_many_connections_leaves_turns_to_others(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def flooded() -> int:
        """How many pieces of what it sends are parsed in one turn of the loop, at most."""
        async with bounded(limit=200) as server, contextlib.AsyncExitStack() as stack:
            address = "127.0.0.1", server.port
            clients = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
            await until(lambda: len(server.connections) == len(clients))
            for client in clients:
                client.sendall(CHUNKS)
            server.connections.seconds = 0.001
            most = before = server.connections.pieces
            until_answered = asyncio.create_task(answered(server.port))
            while not until_answered.done():
                await asyncio.sleep(0)
                most = max(most, server.connections.pieces - before)
                before = server.connections.pieces
            return most

    async def answered(port: int) -> None:
        """Ask from another address, a few times."""
        for _ in range(20):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=("127.0.0.2", 0)
            )
            writer.write(GET)
            async with asyncio.timeout(PATIENCE):
                assert b"200 OK" in await reader.readline()
            writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        assert 0 < runner.run(flooded()) < 15


async def test_connections_that_were_held_back_are_read_on(start: Start) -> None:
    server = await start()
    rest = b"0\r\n\r\n"
    readers = [await server.connect(CHUNKS + rest) for _ in range(20)]
    async with asyncio.timeout(PATIENCE):
        for reader in readers:
            assert b"5000 bytes" in await reader.readuntil(b"bytes")
