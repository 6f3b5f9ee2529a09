"""A proxy for the database with switchable behaviour."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from dev.chaos.answers import BULK, Answer, Behaviour, honest
from dev.process import HOST, free_port

LARGEST_REQUEST = 256 * 1024 * 1024
_DROPPED = ("Transfer-Encoding", "Content-Length", "Content-Encoding", "Connection", "Keep-Alive")


class _Bulk(msgspec.Struct):
    docs: list[msgspec.Raw]


class FaultyDatabase:
    """Forwards requests, or misbehaves as told.

    Args:
        target: `http://host:port` of the database.
        http: to reach it.

    Attributes:
        port: where it listens; the same after `down` and `up`.
        behaviour: what happens to every request.
        misbehaved: requests that met another behaviour than the honest one.
        documents: how many were passed on to each database, by the path of the request.
    """

    def __init__(self, target: str, http: aiohttp.ClientSession) -> None:
        self.port = free_port()
        self.behaviour: Behaviour = honest
        self.misbehaved = 0
        self.documents: Counter[str] = Counter()
        self._target = target
        self._http = http
        self._runner: web.AppRunner | None = None

    async def up(self) -> None:
        """Start listening."""
        application = web.Application(client_max_size=LARGEST_REQUEST)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port, reuse_address=True).start()

    async def down(self) -> None:
        """Close all connections and refuse new ones."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @contextlib.contextmanager
    def behaving(self, behaviour: Behaviour) -> Iterator[None]:
        """Behave this way within the block."""
        self.behaviour = behaviour
        try:
            yield
        finally:
            self.behaviour = honest

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()

        async def ask() -> Answer:
            return await self._pass_on(request, body)

        behaviour = self.behaviour
        self.misbehaved += behaviour is not honest
        try:
            answer = await behaviour(request, ask)
        except (aiohttp.ClientError, OSError):
            answer = None
        if answer is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _pass_on(self, request: web.Request, body: bytes) -> Answer:
        if request.path.endswith(BULK):
            self.documents[request.path] += len(msgspec.json.decode(body, type=_Bulk).docs)
        headers = {k: v for k, v in request.headers.items() if k not in ("Host", *_DROPPED)}
        url = URL(f"{self._target}{request.raw_path}", encoded=True)
        async with self._http.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k not in _DROPPED}
            return Answer(answer.status, await answer.read(), kept)


@contextlib.asynccontextmanager
async def faulty_database(target: str) -> AsyncIterator[FaultyDatabase]:
    """Run a proxy for the database at `http://host:port`."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        proxy = FaultyDatabase(target, http)
        await proxy.up()
        try:
            yield proxy
        finally:
            await proxy.down()
