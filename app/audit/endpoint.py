"""The web endpoint of a standing audit: health and metrics, with the access rules of a worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CONTENT_TYPE_LATEST

from app.audit.metrics import render
from app.audit.tally import Tally
from app.monitoring.web import HEADERS, authorized, refusal
from app.process.connections import BoundedSite, Connections, places
from app.process.hosts import known
from app.process.preflight import check_port
from app.settings import WorkerSettings

_CONNECTIONS = 16
_SHARE_OF_FILES = 8

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(tally: Tally, settings: WorkerSettings, port: int) -> AsyncIterator[None]:
    """Listen for as long as the block runs.

    Raises:
        StartError: the address cannot be listened on.
    """
    check_port(settings.web_host, port)
    app = web.Application(middlewares=[_guard(settings)])
    app.add_routes(
        [
            web.get("/health/live", _live),
            web.get("/health/ready", _ready(tally)),
            web.get("/metrics", _metrics(tally)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        bound = Connections(places(_CONNECTIONS, files_each=_SHARE_OF_FILES))
        await BoundedSite(runner, settings.web_host, port, bound).start()
        yield
    finally:
        await runner.cleanup()


def _guard(settings: WorkerSettings) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        token, address = settings.web_token, settings.web_host
        answer: web.StreamResponse | None = None
        if not authorized(request.headers.get("Authorization", ""), token):
            if known(request.headers.getall("Host", ()), settings.web_names | {address}):
                answer = refusal(request.path, address=address, token=token)
            else:
                answer = web.Response(status=421, text="See PERSISTER_WEB_NAMES.\n")
        answer = answer or await handler(request)
        answer.headers.update(HEADERS)
        return answer

    return guarded


async def _live(_request: web.Request) -> web.Response:
    return web.json_response({"live": True})


def _ready(tally: Tally) -> Handler:
    async def ready(_request: web.Request) -> web.Response:
        good = tally.last is not None and tally.last_error is None
        return web.json_response({"ready": good}, status=200 if good else 503)

    return ready


def _metrics(tally: Tally) -> Handler:
    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=render(tally), headers=headers)

    return metrics
