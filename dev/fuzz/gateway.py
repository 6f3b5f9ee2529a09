"""Runs a gateway in this process between fakes of CouchDB and Kafka, and measures its cost.

Both ends and the client run in one loop with it, so what is measured is a little too much.
"""

import asyncio
import contextlib
import logging
import re
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

import msgspec
from aiohttp import web

from app.process.connections import BoundedSite
from app.process.seldom import Malformed
from app.settings import KafkaSettings, LogMode
from dev.fuzz.cost import MEMORY_RATIO, MIB, SECONDS_PER_MIB, Finding, slowness
from dev.fuzz.requests import AUTHORIZATION, DATABASE, Conversation, conversation, good
from openwhisk.gateway.server import Gateway
from openwhisk.gateway.settings import Configuration, GatewaySettings
from openwhisk.gateway.upstream import Upstream
from openwhisk.publisher import Publisher

if TYPE_CHECKING:
    from app.kafka.producer import Acknowledged, BatchProducer, Outgoing

HOST: Final = "127.0.0.1"

LONGEST_TURN: Final = 0.1
"""Seconds of work within which every other request gets its turn."""

AT_ONCE: Final = 4
"""Connections on which a large conversation comes at the same time."""

_LARGE: Final = MIB // 2
_SENT: Final = 256 * 1024

_PATIENCE: Final = 0.2
"""Seconds that the gateway waits for the rest of a body here."""

_ANSWERED: Final = 1.0
"""Seconds within which a conversation is answered or waits for what does not come."""

_UNANSWERED: Final = 0.1
"""Seconds after which what was sent is a request that is not complete."""

_FORGOTTEN: Final = 20.0
"""Seconds within which nothing is left of a conversation that was hung up on."""

_ANSWERED_AT_ALL: Final = 60.0
"""Seconds for a good request, in which this process may have to wait for others."""

_ANY_TIME: Final = 0.1
_ANY_MEMORY: Final = MIB
"""What a connection may cost, whatever comes on it."""

_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.05
"""Seconds between two looks, first and later: looking counts as the gateway's own work."""

_LOOP: Final[Any] = asyncio.BaseEventLoop
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_bulk = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode


class GatewayTarget:
    """Takes conversations, one at a time, and says what is wrong with how it took one."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._turns = _Turns()
        self._complaints = _Complaints()
        self.conversations = 0
        """How many were tried."""
        self._number = 0
        self._stack = contextlib.AsyncExitStack()

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._complaints)
        self._gateway, self._port = self._run(self._stack.enter_async_context(_serving()))
        self._turns.begin()
        self._run(self._honest())
        return self

    def __exit__(self, *_: object) -> None:
        self._turns.end()
        self._run(self._stack.aclose())
        self._runner.close()
        logging.getLogger().removeHandler(self._complaints)

    def tried(self, talk: Conversation, *, weigh: bool = True) -> str | None:
        """What is wrong; None: nothing.

        Args:
            talk: what is sent.
            weigh: whether to measure memory, too.
        """
        self.conversations += 1
        limit = SECONDS_PER_MIB * talk.size * _connections(talk) / MIB + _ANY_TIME
        seconds, turn, answers = self._timed(talk)
        if seconds > limit or turn > LONGEST_TURN:
            # Other processes may be in the way.
            slower = slowness()
            again = self._timed(talk)
            slower = max(slower, slowness())
            seconds, turn = min(seconds, again[0]) / slower, min(turn, again[1]) / slower
        most = MEMORY_RATIO * talk.size + _ANY_MEMORY
        memory = self._memory(talk) if weigh else 0
        if memory > most:
            # A table of what is remembered may have grown meanwhile, for all that come after.
            memory = min(memory, self._memory(talk))
        wrong = self._complaints.taken() or self._left() or self._run(self._honest())
        if wrong:
            return wrong
        if 500 in answers:  # noqa: PLR2004 - an error of our own
            return "answers 500"
        if seconds > limit:
            return f"takes {seconds * MIB / talk.size / _connections(talk):.2f} s for a megabyte"
        if turn > LONGEST_TURN:
            return f"lets others wait for {turn * 1000:.0f} ms"
        if memory > most:
            return f"takes {memory / talk.size:.1f} times its size of memory"
        return None

    def _timed(self, talk: Conversation) -> tuple[float, float, set[int]]:
        self._turns.longest = 0.0
        began = time.process_time()
        answers = self._run(self._at_once(talk))
        return time.process_time() - began, self._turns.longest, answers

    def _memory(self, talk: Conversation) -> int:
        tracemalloc.start()
        try:
            self._run(self._conversation(talk))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    async def _at_once(self, talk: Conversation) -> set[int]:
        several = (self._conversation(talk) for _ in range(_connections(talk)))
        return set().union(*await asyncio.gather(*several))

    async def _conversation(self, talk: Conversation) -> set[int]:
        """Send it, wait for its end, hang up; the statuses that were answered."""
        reader, writer = await asyncio.open_connection(HOST, self._port)
        answers: set[int] = set()
        reading = asyncio.ensure_future(_read(reader, answers))
        try:
            for piece in talk.pieces:
                for at in range(0, len(piece), _SENT):  # this is one of the loop's turns, too
                    writer.write(piece[at : at + _SENT])
                    await writer.drain()
            await self._until(lambda: bool(answers) or reading.done(), _UNANSWERED)
            await self._until(self._quiet, _ANSWERED)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            await asyncio.wait({reading})
        await self._until(lambda: self._left() is None, _FORGOTTEN)
        return answers

    async def _honest(self) -> str | None:
        """A request of somebody else; what is wrong with its answer."""
        self._number += 1
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            async with asyncio.timeout(_ANSWERED_AT_ALL):
                writer.write(good(self._number))
                line = await reader.readline()
        except TimeoutError:
            return "leaves others without an answer"
        finally:
            writer.close()
            await writer.wait_closed()
        return None if b" 201 " in line else f"has others answered {line!r}"

    def _quiet(self) -> bool:
        connections = self._gateway.connections._open  # noqa: SLF001 - nobody else asks
        return all(not (one.busy or one.sends) for one in connections)

    def _left(self) -> str | None:
        """What is left of those that have hung up."""
        left = {
            "connections": len(self._gateway.connections),
            "bytes of bodies": self._gateway._bodies.in_flight,  # noqa: SLF001
            "bytes of records": self._gateway._publisher.budget.in_flight,  # noqa: SLF001
            "requests": self._gateway._in_flight,  # noqa: SLF001
        }
        said = [f"{number} {what}" for what, number in left.items() if number]
        return f"leaves {', '.join(said)}" if said else None

    async def _until(self, holds: Callable[[], bool], within: float) -> None:
        # Its turns are counted, not the time: this process may get none for seconds.
        waited, pause = 0.0, _PAUSE
        while waited < within and not holds():
            await asyncio.sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)


def _connections(talk: Conversation) -> int:
    """On how many connections it comes: of what is large, one must not add to another's turn."""
    return AT_ONCE if sum(map(len, talk.pieces)) > _LARGE else 1


def conversations(
    gateway: GatewayTarget, seeds: range, size: int, *, weigh: bool = True
) -> Iterator[Finding | None]:
    """Try the conversation of each seed, as `findings` does; None where nothing was wrong."""
    for seed in seeds:
        what = gateway.tried(conversation(seed, size), weigh=weigh)
        yield Finding("gateway", what, f"conversation({seed}, {size})") if what else None


class _Turns:
    """How long a turn of the loop is, in seconds of its processor."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._run_once: Any = _LOOP._run_once  # noqa: SLF001

    def begin(self) -> None:
        run_once, turns = self._run_once, self

        def timed(loop: asyncio.AbstractEventLoop) -> None:
            began = time.thread_time()
            run_once(loop)
            turns.longest = max(turns.longest, time.thread_time() - began)

        _LOOP._run_once = timed  # noqa: SLF001

    def end(self) -> None:
        _LOOP._run_once = self._run_once  # noqa: SLF001


class _Complaints(logging.Handler):
    """Errors that were logged: nothing that comes from outside is one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        Malformed().filter(record)
        if record.levelno < logging.ERROR:
            return
        error = record.exc_info[1] if record.exc_info else None
        self._said.append(f"logs {record.getMessage()[:100]!r} ({error!r})")

    def taken(self) -> str | None:
        """The first one since the last time."""
        said, self._said = self._said, []
        return said[0] if said else None


async def _read(reader: asyncio.StreamReader, answers: set[int]) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(MIB):
            answers.update(int(status) for status in _STATUS.findall(piece))


@contextlib.asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Gateway, int]]:
    async with contextlib.AsyncExitStack() as stack:
        couchdb = web.ServerRunner(web.Server(_couchdb, auto_decompress=False))
        await couchdb.setup()
        stack.push_async_callback(couchdb.cleanup)
        await web.TCPSite(couchdb, HOST, 0).start()
        # Its Kafka answers at once, but this process may get no turn for some seconds.
        settings = GatewaySettings(
            receive_pause=_PATIENCE,
            publish_deadline=60.0,
            fallback_after=60.0,
            recent_bytes=MIB,
            change_patience=0.05,  # nothing is ever stored here that a second write waits for
        )
        configuration = Configuration(
            gateway=settings,
            kafka=KafkaSettings(),
            log_mode=LogMode.IN_RECORD,
            upstream=f"http://{HOST}:{couchdb.addresses[0][1]}",
            ca_file=None,
            database=DATABASE,
        )
        upstream = Upstream(configuration.upstream, DATABASE, connect_timeout=5)
        stack.push_async_callback(upstream.close)
        publisher = Publisher(
            configuration.kafka,
            deadline=settings.publish_deadline,
            bytes_in_flight=settings.bytes_in_flight,
            new_producer=lambda: cast("BatchProducer", _Kafka()),
        )
        gateway = Gateway(configuration, publisher, upstream)
        runner = gateway.runner()
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await BoundedSite(runner, HOST, 0, gateway.connections).start()
        yield gateway, runner.addresses[0][1]


async def _couchdb(request: web.BaseRequest) -> web.StreamResponse:
    """As much of CouchDB as the gateway asks."""
    if request.headers.get("Authorization") != AUTHORIZATION:
        return web.json_response({"error": "unauthorized"}, status=401)
    if "X-Forwarded-Host" in request.headers:  # of a client, who is told what stands there
        with contextlib.suppress(ConnectionError):
            while await request.content.readany():
                pass
        # Records come here for a minute after a request that may have dropped the database.
        found = request.method == "PUT"
        body = {"ok": "true", "id": "guest/x", "rev": "1-a"} if found else {"error": "not_found"}
        return web.json_response(body, status=201 if found else 404)
    if request.path == "/_session":
        return web.json_response({"userCtx": {"name": "fuzz"}})
    if request.path.endswith("/_bulk_docs"):
        entry = {"ok": True, "id": "guest/x", "rev": "1-a"}
        documents = _bulk(await request.read())["docs"]
        return web.json_response([entry] * len(documents), status=201)
    if request.path.endswith("/_all_docs"):
        return web.json_response({"rows": []})
    return web.json_response({"error": "not_found", "reason": "missing"}, status=404)


class _Kafka:
    """A producer that has everything acknowledged at once."""

    async def send(
        self, _topic: str, records: "Sequence[Outgoing]", acknowledged: "Acknowledged"
    ) -> "list[Outgoing]":
        acknowledged(records, 0)
        return []

    async def answers(self, _topic: str, _within: float) -> bool:
        return True
