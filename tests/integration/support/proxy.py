"""An HTTP proxy in front of the database, which can answer in its place."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

DROPPED = ("Transfer-Encoding", "Content-Length", "Content-Encoding", "Connection", "Keep-Alive")


class Proxy:
    """Passes requests on.

    Attributes:
        url: `http://host:port`, without credentials: those of each request are passed on.
        refusing: A status to answer with instead, or None.
        refused: Requests that were answered so.
    """

    def __init__(self, target: str, http: aiohttp.ClientSession) -> None:
        self.url = ""
        self.refusing: int | None = None
        self.refused = 0
        self._target = target
        self._http = http

    async def handle(self, request: web.Request) -> web.Response:
        if self.refusing is not None:
            self.refused += 1
            return web.json_response({"error": "unavailable"}, status=self.refusing)
        headers = {k: v for k, v in request.headers.items() if k not in ("Host", *DROPPED)}
        async with self._http.request(
            request.method,
            f"{self._target}{request.raw_path}",
            headers=headers,
            data=await request.read(),
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k not in DROPPED}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


@contextlib.asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """A running proxy for the database at `http://host:port`."""
    async with aiohttp.ClientSession() as http:
        running = Proxy(target, http)
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", running.handle)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        running.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield running
        finally:
            await runner.cleanup()
