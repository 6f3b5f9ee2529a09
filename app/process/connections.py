"""Limits for a web server's connections, which aiohttp leaves to a proxy in front of it.

The number of files that a process may have open is limited. If strangers' connections use them all
up, the process cannot reach Kafka or the database either. So the number of connections is bounded
well below that limit, and no address gets all of them. Nor does one get all of the time: what it
sends is parsed for a few milliseconds, then others have their turn. A connection that makes no
progress is closed within seconds: a request whose head or body does not arrive, a response that
nobody reads. When all slots are taken, a newcomer replaces a connection that is idle between
requests, one of the address that has the most. If there is none, the newcomer is told that there is
no slot. If its client would take that as final, it waits unread for a slot instead, and is closed
without a response if none becomes free.
"""
# aiohttp has no public way to tell whether a connection waits; tests hold it to what was read.
# ruff: noqa: SLF001

import asyncio
import logging
import resource
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from operator import itemgetter
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

logger = logging.getLogger(__name__)

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: 76\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"error":"service_unavailable","reason":"too many connections from clients"}'
)

_OWN_FILES = 128
"""Open files for everything else: Kafka, the database, logs."""

_ONE_ADDRESS = 3 / 4
"""Share of all places that one address may have; OpenWhisk may well come from one only."""

_SWEEP = 0.5
"""Seconds between looks at all connections."""

_ARRIVAL = 1.0
"""Seconds for the request of one that waited for its place; it was most likely there before."""

_LONGEST_HEAD = 256 * 1024
"""Bytes of a request's head; aiohttp bounds each line and their number, not what they make."""

_LONGEST_TRAILERS = 64 * 1024
"""Bytes behind a body that do not end; aiohttp bounds each line and their number, and keeps all."""

_MOST_HEADS = 32 * 1024 * 1024
"""Bytes of memory for the heads of all requests that are not answered yet."""

_SMALL_HEADS = 32 * 1024
"""Bytes of memory for which there is always room; the bound on connections bounds these."""

_OF_A_HEAD = 2000
_OF_A_HEADER = 300
_OF_A_BYTE = 3
"""Bytes of memory that a parsed head takes: as objects, for each of its headers, which may be as
short as `a:`, and for each byte, which is kept as it came, as text, and in what is made of it."""

_AROUND_A_HEAD = 20
_AROUND_A_HEADER = 4
"""Bytes of a head besides its path, names and values, about."""

_UNREAD = 16 * 1024
"""Half of the bytes of a body that aiohttp keeps unread, and 16 times the number of its chunks; by
itself it keeps 512 KB, or 16,384 chunks, each of which takes 100 bytes however short it is."""

_AT_ONCE = 32 * 1024
"""Bytes that are read of a connection at a time, which come on top of that; uvloop reads 256 KB."""

_TURN = 0.005
"""Seconds in a turn of the loop for parsing what one address sends, about: 32 KB in chunks of a
byte take twenty milliseconds, on each of hundreds of connections."""

_KEPT_UNSENT = 128 * 1024
"""Bytes of an answer that the kernel keeps for a client; by itself it keeps megabytes for each."""

_QUEUED = 2
"""Requests that wait for the one before them until nothing more is read of a connection; aiohttp's
32 of all connections are gigabytes. What was read already is parsed, up to 32 of them."""

_SLOWEST = 64 * 1024
"""Bytes of a body in a second for which its client gets more time; a large one takes longer."""

_BACKLOG = 1024
"""Connections that the kernel keeps until they are looked at, if it does not allow fewer."""

_TOLD_EVERY = 30.0
_IPV6 = 6


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may stand still, in seconds.

    Attributes:
        head: since the first byte of a request, until its head is complete.
        first: since the connection was made, until that first byte.
        body: without a byte of a body that is not complete.
        whole: for a complete body, and a second more for each 64 KiB of it; what holds it up here
            does not count.
        answer: without anything being read of an answer.
        place: while all places are taken, for those that may wait for one.
    """

    head: float = 10.0
    first: float = 30.0
    body: float = 10.0
    whole: float = 60.0
    answer: float = 60.0
    place: float = 60.0


class Closed(StrEnum):
    """Why a connection was closed or refused; a label of a metric."""

    FULL = "no-place"
    EVICTED = "for-a-newcomer"
    HEAD = "head-incomplete"
    BODY = "body-incomplete"
    ANSWER = "answer-not-read"
    BROKEN = "body-malformed"
    HEADS = "no-room-for-heads"


def places(most: int, *, files_each: float, soft_limit: int | None = None) -> int:
    """How many connections fit under the limit of open files.

    Args:
        most: that are wanted.
        files_each: open files that one takes: itself, what is opened for it, its share of those
            that wait.
        soft_limit: of open files; that of the process when not given.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if soft_limit is None else soft_limit
    if limit == resource.RLIM_INFINITY:
        return most
    # With very few files allowed half of them must do.
    return max(4, min(most, int(max(limit - _OWN_FILES, limit // 2) // files_each)))


class Connections:
    """All connections of a server.

    Args:
        limit: most at a time.
        waiting: most that wait for a place; with none, a newcomer is told that there is none.
        patience: with those that stand still.
        closed: is told why one was closed or refused.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limit: int,
        patience: Patience | None = None,
        *,
        waiting: int = 0,
        closed: Callable[[Closed], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.answers = not waiting
        """Whether a newcomer without a place is told so."""
        self._most_waiting = waiting
        self._waiting: dict[Connection, float] = {}
        """Since when, in the order in which they came."""
        self._patience = patience or Patience()
        self._closed = closed
        self._clock = clock
        self._open: dict[Connection, None] = {}
        self._heads: Counter[Connection] = Counter()
        self._of_address: Counter[str] = Counter()
        self.heads = 0
        """Bytes of the heads of requests that are not answered yet."""
        self._parsed: Counter[str] = Counter()
        """Microseconds in this turn of the loop, by address."""
        self._held_back: list[Connection] = []
        """Those of which nothing is read until the next turn."""
        self._unparsed: dict[Connection, None] = {}
        """Those that have more of what was read already than fitted into this turn."""
        self.buffer = memoryview(bytearray(_AT_ONCE))
        """What is read goes through it; nothing stays there."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._told: dict[Closed, float] = {}
        self._untold: Counter[Closed] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def admit(self, connection: "Connection") -> bool:
        """Whether there is a place for a new connection; it has it then."""
        address = connection.address
        own = self._of_address[address]
        if own >= max(1, int(self.limit * _ONE_ADDRESS)):
            victim = self._victim(address)
        elif len(self._open) >= self.limit:
            most, count = self._of_address.most_common(1)[0]
            victim = self._victim(most, receiving=count > own + 1) or self._victim(None)
        else:
            return self._take(connection)
        if victim is None:
            return False
        self._end(victim, Closed.EVICTED)
        return self._take(connection)

    def wait(self, connection: "Connection") -> bool:
        """Whether a connection without a place may wait for one; otherwise it is refused."""
        own = sum(other.address == connection.address for other in self._waiting)
        most_of_one = int(self._most_waiting * _ONE_ADDRESS)
        if len(self._waiting) >= self._most_waiting or own >= max(1, most_of_one):
            self._tell(Closed.FULL, connection.address)
            return False
        self._waiting[connection] = self._clock()
        self._watch()
        return True

    def forget(self, connection: "Connection") -> None:
        """Give back a connection's place, to the next one waiting."""
        self._drop(connection)
        self._let_in()

    def _drop(self, connection: "Connection") -> None:
        self._waiting.pop(connection, None)
        if connection not in self._open:
            return
        del self._open[connection]
        self.heads -= self._heads.pop(connection, 0)
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]

    def hold(self, connection: "Connection", heads: int) -> None:
        """A connection holds so many bytes of heads; whoever has the most may have to go for it."""
        if connection not in self._open:
            return
        self._count(connection, heads)
        if self.heads <= _MOST_HEADS:
            return
        for other in self._open:
            self._count(other, other.heads())
        while self.heads > _MOST_HEADS:
            victim, held = max(self._heads.items(), key=itemgetter(1))
            if held <= _SMALL_HEADS:
                return
            self._end(victim, Closed.HEADS)
        self._let_in()

    def parsed(self, connection: "Connection", seconds: float) -> None:
        """To parse what came on a connection took so long; its address may have to wait for a turn.

        Then nothing more is read of any connection of that address until all others have been
        looked at, and those that were read last come last.
        """
        address = connection.address
        if not self._parsed:
            asyncio.get_running_loop().call_soon(self._next_turn)
        before = self._parsed[address]
        self._parsed[address] = now = before + max(1, int(seconds * 1e6))
        if before <= _TURN * 1e6 < now:
            those = [c for c in self._open if c.address == address]
            those.sort(key=lambda c: c.parsed_at)
            for other in those:
                other.hold_back()
            self._held_back += those

    def parse_later(self, connection: "Connection") -> bool:
        """Whether its address has had its turn; what is left of the connection comes next, then."""
        if self._parsed[connection.address] <= _TURN * 1e6:
            return False
        self._unparsed[connection] = None
        return True

    def _next_turn(self) -> None:
        self._parsed.clear()
        held_back, self._held_back = self._held_back, []
        for connection in held_back:
            connection.go_on()
        unparsed, self._unparsed = self._unparsed, {}
        for connection in unparsed:
            connection.parse_on()

    def _count(self, connection: "Connection", heads: int) -> None:
        self.heads += heads - self._heads[connection]
        self._heads[connection] = heads

    def end(self, connection: "Connection", why: Closed) -> None:
        """Close a connection at once; the next one waiting gets its place."""
        self._end(connection, why)
        self._let_in()

    def _end(self, connection: "Connection", why: Closed) -> None:
        self._tell(why, connection.address)
        self._drop(connection)
        connection.abort()

    def _take(self, connection: "Connection") -> bool:
        self._open[connection] = None
        self._of_address[connection.address] += 1
        self._watch()
        return True

    def _let_in(self) -> None:
        """Give those that wait what places there are."""
        refused_from = self.limit + 1
        """An address that has so many connections gets no more; nor does one with more of them."""
        for connection in list(self._waiting):
            own = self._of_address[connection.address]
            if own >= refused_from:
                continue
            if self.admit(connection):
                del self._waiting[connection]
                connection.begin()
            else:
                # Each look goes through all connections; strangers have any number of addresses.
                refused_from = own

    def _watch(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _victim(self, address: str | None, *, receiving: bool = False) -> "Connection | None":
        """The one that waits for longest, of an address or of all; then one that still sends."""
        those = [c for c in self._open if address is None or c.address == address]
        waiting = [c for c in those if not c.busy] or [c for c in those if receiving and c.sends]
        return min(waiting, key=lambda c: c.since, default=None)

    def _sweep(self) -> None:
        self._sweeping = None
        now = self._clock()
        for connection in list(self._open):
            why = connection.overdue(now, self._patience)
            if why is not None:
                self._end(connection, why)
        for connection, since in list(self._waiting.items()):
            if now - since > self._patience.place:
                self._end(connection, Closed.FULL)
        self._let_in()  # one that only waits for its next request may leave its place, too
        if self._open or self._waiting:
            self._watch()

    def _tell(self, why: Closed, address: str) -> None:
        self._closed(why)
        now = self._clock()
        if now - self._told.get(why, -_TOLD_EVERY) < _TOLD_EVERY:
            self._untold[why] += 1
            return
        self._told[why] = now
        before = self._untold.pop(why, 0)
        logger.warning(
            "%s a connection from %s (%s); %d of %d are open%s",
            "refused" if why is Closed.FULL else "closed",
            address,
            why,
            len(self._open),
            self.limit,
            f"; {before} more before" if before else "",
        )


class Connection(asyncio.BufferedProtocol):
    """One connection: passes everything to aiohttp's handler and watches whether it gets on.

    Args:
        all_: of the server.
        handler: of aiohttp, made when there is a place.
        clock: monotonic seconds.
    """

    def __init__(
        self, all_: Connections, handler: Callable[[], Any], clock: Callable[[], float]
    ) -> None:
        self._all = all_
        self._new_handler = handler
        self._handler: Any = None
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self.address = ""
        self.since = clock()
        """When it last began to wait, or last got on."""
        self.parsed_at = 0.0
        """When something that came on it was parsed last."""
        self._payload: Any = None
        """The body of the last request that arrived."""
        self._body_bytes = 0
        """What there was of it when something came last."""
        self._body_ended = True
        self._trailers = 0
        """Bytes that came since it grew last and are no part of it."""
        self._awaited = 0.0
        """Seconds that its client has had so far to send that body."""
        self._looked_at = clock()
        self._head_since: float | None = None
        self._head_bytes = 0
        """Of what came and is no request yet, at most."""
        self._heads: deque[int] = deque()
        """Bytes of memory of each that is not answered yet."""
        self._requests = 0
        self._begins = False
        """Whether aiohttp took a request up, and is about to handle it."""
        self._unread_since: float | None = None
        self._early = b""
        """What came before there was a place."""
        self._let_in_at: float | None = None
        """When it got a place that it had waited for, until its request is there."""

    @property
    def busy(self) -> bool:
        """Whether a request is being handled."""
        if self._let_in_at is not None and self._clock() - self._let_in_at < _ARRIVAL:
            return True
        return self._unanswered > 0

    @property
    def _unanswered(self) -> int:
        """Requests that arrived and are not answered yet."""
        handler = self._handler
        if handler is None:
            return 0
        return len(handler._messages) + (handler._request_in_progress or self._begins)

    @property
    def sends(self) -> bool:
        """Whether the body of a request is still on its way, and nothing holds it up here."""
        if self._payload is None or self._payload.is_eof():
            return False
        return not (self._handler._reading_paused or self._handler._buffer_paused)

    def overdue(self, now: float, patience: Patience) -> Closed | None:
        """Why the connection should be closed; None when it gets on."""
        since, self._looked_at = self._looked_at, now
        if self._unread_since is not None and now - self._unread_since > patience.answer:
            return Closed.ANSWER
        if self.sends:
            self._awaited += now - since
            late = self._awaited > patience.whole + self._payload.total_bytes / _SLOWEST
            return Closed.BODY if late or now - self.since > patience.body else None
        if self.busy:
            return None
        if self._head_since is not None:
            return Closed.HEAD if now - self._head_since > patience.head else None
        if not self._requests:
            return Closed.HEAD if now - self.since > patience.first else None
        return None  # between requests, for aiohttp's keep-alive time-out

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or say that there is none."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's by its methods alone
        peer = transport.get_extra_info("peername")
        self.address = whose(str(peer[0])) if isinstance(peer, tuple) else "a local socket"
        if self._all.admit(self):
            self._serve()
        elif self._all.wait(self):
            self._transport.pause_reading()
            # uvloop begins to read after this, whatever is said here.
            asyncio.get_running_loop().call_soon(self._hold_back)
        elif self._all.answers:
            self._transport.write(_FULL)
            self._transport.close()
        else:
            self._transport.abort()

    def begin(self) -> None:
        """Read what came while it waited for its place."""
        if self._transport is None or self._transport.is_closing():
            return
        self.since = self._let_in_at = self._clock()
        self._serve()
        self._transport.resume_reading()
        if self._early:
            self.data_received(self._early)
            self._early = b""

    def _serve(self) -> None:
        self._handler = self._new_handler()
        self._handler._max_msg_queue_size = _QUEUED
        self._handler._msg_queue_resume_size = _QUEUED - 1
        self._handler._parser = _Parser(self._handler._parser, self)
        self._handler.connection_made(self._transport)

    def _hold_back(self) -> None:
        if self._handler is None and self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio has it
        """Where to put what comes next."""
        return self._all.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So much came."""
        self.data_received(bytes(self._all.buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Pass on, and note whether a request got on by it."""
        handler = self._handler
        if handler is None:
            self._early += data
            return
        now = self._clock()
        body_goes_on = self._payload is not None and not self._payload.is_eof()
        handler.data_received(data)
        new = handler._request_count - self._requests
        if new:
            self._requests = handler._request_count
            self._let_in_at = None
        elif not body_goes_on:
            if self._head_since is None:
                self._head_since = now
            if self._head_bytes > _LONGEST_HEAD:
                self.abort()
                return
        if new or body_goes_on:
            self._head_since, self.since = None, now
        if self._trailers > _LONGEST_TRAILERS:
            self._all.end(self, Closed.BROKEN)
        elif new or self._head_bytes or self._trailers:
            self._all.hold(self, self.heads())

    def heads(self) -> int:
        """Bytes of memory for the heads of its requests that are not answered yet, and trailers."""
        while len(self._heads) > self._unanswered:
            self._heads.popleft()
        return sum(self._heads) + self._head_bytes + _OF_A_BYTE * self._trailers

    def _arrived(self, size: int, messages: Sequence[tuple[Any, Any]]) -> None:
        """So many bytes came, or none where aiohttp goes on with what it had, and made requests."""
        before = self._payload
        in_body = before is not None and not self._body_ended
        rest = self._head_bytes + size
        if before is not None:
            rest -= before.total_bytes - self._body_bytes
        for message, payload in messages:
            head = len(message.path) + sum(len(n) + len(v) for n, v in message.raw_headers)
            headers = len(message.raw_headers)
            self._heads.append(_OF_A_HEAD + _OF_A_HEADER * headers + _OF_A_BYTE * head)
            self._payload, self._awaited = payload, 0.0
            rest -= head + _AROUND_A_HEAD + _AROUND_A_HEADER * headers + payload.total_bytes
        if size and (messages or in_body):
            rest = min(rest, size)  # whatever was before it, is part of what became a request
        latest = self._payload
        grew = latest is not before or (
            before is not None and before.total_bytes > self._body_bytes
        )
        self._body_bytes = latest.total_bytes if latest is not None else 0
        self._body_ended = latest is None or latest.is_eof()
        if grew or self._body_ended:
            self._trailers = 0
        elif not self._handler._reading_paused:  # otherwise it may be more of the body, unparsed
            self._trailers += size
        self._head_bytes = max(0, rest) if self._body_ended else 0

    def _parsed(self, seconds: float) -> None:
        self.parsed_at = self._clock()
        self._all.parsed(self, seconds)

    def hold_back(self) -> None:
        """Read nothing more of it for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read it again, unless aiohttp holds it up: it has enough of it for now."""
        handler, transport = self._handler, self._transport
        if handler is None or transport is None or transport.is_closing():
            return
        if not (handler._reading_paused or handler._buffer_paused):
            transport.resume_reading()

    def _taken_up(self) -> None:
        # aiohttp handles it in a task of its own, which begins in the next turn before Python 3.12.
        self._begins = True
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._begun)

    def _begun(self) -> None:
        self._begins = False

    def _parse_later(self) -> bool:
        later = self._all.parse_later(self)
        if later:
            self._handler._reading_paused = True  # or aiohttp would read even more of it
        return later

    def parse_on(self) -> None:
        """Parse what was read of it before, as aiohttp does when there is room for it."""
        if self._transport is not None and not self._transport.is_closing():
            self._handler.resume_reading()

    def _broken(self) -> None:
        """What comes is no HTTP; where it was to be a body, nobody can tell where that ends."""
        if self._payload is not None and not self._payload.is_eof():
            self._all.end(self, Closed.BROKEN)

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        return bool(self._handler.eof_received()) if self._handler is not None else None

    def pause_writing(self) -> None:
        """The client does not read."""
        self._unread_since = self._clock()
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._unread_since = None
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._all.forget(self)
        handler = self._handler
        if handler is None:
            return
        handler.connection_lost(exc)
        payload = self._payload
        if payload is not None and handler._current_request is None and not payload.exception():
            # aiohttp 3.14 has answered, and goes on waiting for the rest of the body for ten
            # seconds; or has not begun. It would keep thousands of lost connections, with what had
            # come on them.
            payload.feed_eof()
            payload.read_nowait()


def whose(peer: str) -> str:
    """Whose connection it is; of an IPv6 address the network that one customer has."""
    try:
        address = ip_address(peer)
    except ValueError:
        return peer
    return str(ip_network((peer, 64), strict=False)) if address.version == _IPV6 else peer


class _Parser:
    """aiohttp's parser of a connection, which reads no further than is safe.

    Where something was no HTTP, aiohttp 3.14 goes on with what is left, an error for each piece of
    it, and tells none of them to whoever waits for the rest of the body.

    A request with a chunked body is the last of its connection, which is closed with the answer.
    Otherwise its last trailer would be the first header of the next request, which may be another
    client's if a proxy shares the connection: `_http_parser.pyx` keeps name and value until the
    next header begins, whichever message that is in. It also keeps a trailer's `Content-Encoding`.

    So is a request for another protocol or for a tunnel the last. There is none here, and a proxy
    in front that takes `CONNECT` for granted would have what is sent through the tunnel read as
    requests; of what follows an `Upgrade`, aiohttp drops the part in the same piece.

    A client that is told of the end sends what it sent behind it again, on a new connection.

    Args:
        parser: of aiohttp.
        connection: is told what comes of it.
    """

    def __init__(self, parser: Any, connection: Connection) -> None:
        self._parser = parser
        self._connection = connection
        self._last: Any = None
        """The body of the connection's last request, once that is there."""
        self._ended = False

    def feed_data(self, data: bytes) -> tuple[Any, bool, bytes]:
        """The requests in this piece; no other protocol ever follows, and nothing is left."""
        if self._ended or (not data and self._connection._parse_later()):
            return (), False, b""
        began = time.perf_counter()
        try:
            messages = self._up_to_last(self._parser.feed_data(data)[0])
        except HttpProcessingError:
            self._ended = True
            self._connection._broken()
            raise
        self._connection._arrived(len(data), messages)
        self._connection._parsed(time.perf_counter() - began)
        return messages, False, b""

    def _up_to_last(self, messages: Sequence[tuple[Any, Any]]) -> Sequence[tuple[Any, Any]]:
        if self._last is not None:
            messages = ()  # only what is left of its body was wanted
        for number, (message, body) in enumerate(messages):
            if message.chunked or message.upgrade or message.method == hdrs.METH_CONNECT:
                self._last = body
                messages = [*messages[:number], (message._replace(should_close=True), body)]
                break
        self._ended = self._last is not None and self._last.is_eof()
        return messages

    def message_consumed(self) -> None:
        """A request that was complete is taken up."""
        self._parser.message_consumed()
        self._connection._taken_up()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


class BoundedSite(web.TCPSite):
    """A listening address whose connections are bounded.

    Args:
        runner: of aiohttp, set up.
        host: address to listen on.
        port: 0 for any.
        connections: their bounds.
        options: of `TCPSite`.
    """

    __slots__ = ("_connections",)

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        connections: Connections,
        **options: Any,
    ) -> None:
        # Those that come while it is busy wait in the kernel; one too many is tried again by its
        # client's after a second.
        super().__init__(runner, host, port, **{"backlog": _BACKLOG, **options})
        self._connections = connections

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        server._kwargs["read_bufsize"] = _UNREAD
        # Whoever wants a body decompressed does it within bounds; here one that is no gzip would
        # end its connection with a traceback in the log.
        server._kwargs["auto_decompress"] = False

        def connection() -> Connection:
            return Connection(self._connections, server, time.monotonic)

        self._server = await asyncio.get_running_loop().create_server(
            connection,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            reuse_address=self._reuse_address,
            reuse_port=self._reuse_port,
        )
        for listening in self._server.sockets:
            # Those that it accepts have it from there.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KEPT_UNSENT)
        self._bound_port = self._server.sockets[0].getsockname()[1]
