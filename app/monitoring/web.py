"""The web endpoint: health for a supervisor, status for a person, metrics for Prometheus.

A middleware checks every request first, even for pages that do not exist.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from http.client import OK, UNAUTHORIZED
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

import faust
from aiohttp import web
from faust.web.drivers import aiohttp as driver
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr

from app.monitoring import metrics
from app.monitoring.monitored import Monitored, not_ready
from app.monitoring.page.handlers import SIGN_IN, Pages, Trace
from app.monitoring.page.rendering import STATIC
from app.monitoring.sign_in import SignIn, cookie_in
from app.monitoring.status import status
from app.process.connections import BoundedSite, Connections, places
from app.process.hosts import is_loopback, known
from app.process.verbosity import Level, set_level
from app.settings import WorkerSettings

HEALTH = ("/health/live", "/health/ready")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_CONNECTIONS = 64
_SHARE_OF_FILES = 8
"""The share of open files that connections may use (one in eight): Kafka and the database need the
others.
"""

_FORBIDDEN = (
    "Only /health/live and /health/ready are shown on an address that others can reach. Set "
    "PERSISTER_WEB_TOKEN or PERSISTER_WEB_TOKEN_FILE, and send it as `Authorization: Bearer ...`; "
    "or listen on 127.0.0.1 (PERSISTER_WEB_HOST).\n"
)
_UNAUTHORIZED = (
    "This page needs the token of PERSISTER_WEB_TOKEN[_FILE] as `Authorization: Bearer ...`; a "
    "browser asks for it at /sign-in.\n"
)

_BEARER_ONLY = (
    "This needs the token of PERSISTER_WEB_TOKEN[_FILE] as `Authorization: Bearer ...`, also on "
    "loopback. Without one: kill -USR1 PID.\n"
)

_ELSEWHERE = (
    "This server is not known by the name in the request's Host header. Name it in "
    "PERSISTER_WEB_NAMES, or use its address.\n"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def authorized(authorization: str, token: SecretStr | None) -> bool:
    """Whether a request has the token; False if none is configured.

    Args:
        authorization: the `Authorization` header; empty without one.
        token: the configured token; None if there is none.
    """
    if token is None:
        return False
    scheme, _, given = authorization.partition(" ")
    expected = token.get_secret_value().encode()
    # In constant time, so that the duration does not reveal how much of a guess was right.
    right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
    return right and scheme.lower() == "bearer"


def refusal(path: str, *, address: str, token: SecretStr | None) -> web.Response | None:
    """The refusal of a request without the token; None if the page is open to it.

    Args:
        path: the decoded path of the page.
        address: the address that the server listens on.
        token: the configured token; None if there is none.
    """
    if path in HEALTH or path.startswith(STATIC):
        return None
    if token is None:
        return None if is_loopback(address) else web.Response(status=403, text=_FORBIDDEN)
    if path == SIGN_IN:
        return None
    return web.Response(status=401, text=_UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})


class Web(driver.Web):
    """Faust's web server without Faust's pages, with a middleware that checks every request.

    Faust's pages show table contents and its routing table; its settings for them can be overridden
    by variables such as APP_WEB_TABLES_ENABLED and follow `--debug`.
    """

    default_blueprints: ClassVar[Any] = ()
    debug_blueprints: ClassVar[Any] = ()
    production_blueprints: ClassVar[Any] = ()
    optional_blueprints: ClassVar[Any] = ()

    def __init__(self, app: faust.App, settings: WorkerSettings, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._settings = settings
        self.sign_in = SignIn(settings.web_token) if settings.web_token else None
        self._one_page = asyncio.Lock()
        self.web_app.middlewares.append(self._guarded)

    @property
    def address(self) -> str:
        """Where to listen: `--web-bind` if given, else `--web-host`, which Faust only shows."""
        conf = self.app.conf
        given = conf.web_bind != self._settings.web_host
        # Faust puts its host into a URL, where an IPv6 address has brackets.
        return str(conf.web_bind if given else conf.web_host).strip("[]")

    def _new_transport_tcp(self) -> web.BaseSite:
        return BoundedSite(
            self._runner,
            self.address,
            self.app.conf.web_port,
            Connections(places(_CONNECTIONS, files_each=_SHARE_OF_FILES)),
        )

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        worker, address = self._settings, self.address
        token = worker.web_token
        trusted = authorized(request.headers.get("Authorization", ""), token) or self._known(
            request
        )
        refused = None
        if not trusted:
            # Whoever has the token is trusted, whatever host name it uses.
            meant = known(request.headers.getall("Host", ()), worker.web_names | {address})
            refused = refusal(request.path, address=address, token=token) if meant else _elsewhere()
            if refused is not None and refused.status == UNAUTHORIZED and _is_browser(request):
                refused = _to_sign_in(request)
        try:
            if refused is None and request.path not in HEALTH:
                await self._turn()
            response = refused or await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if request.path in HEALTH and not trusted and not is_loopback(address):
            response = response if refused else _in_short(request.path, response)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    async def _turn(self) -> None:
        """Let other tasks run before each page, and make only one page at a time.

        A page takes some milliseconds. A hundred requests for pages must not delay health checks or
        the work by all of that.
        """
        async with self._one_page:
            await asyncio.sleep(0)

    def _known(self, request: web.Request) -> bool:
        """Whether the request comes from a signed-in browser."""
        if self.sign_in is None:
            return False
        cookie = cookie_in(request.headers.get("Cookie", ""))
        return cookie is not None and self.sign_in.accepts(cookie)


def _is_browser(request: web.Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def _to_sign_in(request: web.Request) -> web.Response:
    query = f"?{urlencode({'next': request.path_qs})}" if request.path != "/" else ""
    return web.Response(status=303, headers={"Location": f"{SIGN_IN}{query}"})


def _elsewhere() -> web.Response:
    return web.Response(status=421, text=_ELSEWHERE)


def _in_short(path: str, response: web.StreamResponse) -> web.Response:
    """Health without details, which name topics, brokers and what is wrong with them."""
    what = path.rpartition("/")[2]
    return web.json_response({what: response.status == OK}, status=response.status)


def add_pages(app: faust.App, worker: Monitored, trace: Trace) -> None:
    """Add the pages about this worker to Faust's web server.

    Args:
        app: the app that the server belongs to.
        worker: the worker to show.
        trace: searches for an activation.
    """
    server = cast("Web", app.web)
    Pages(worker, server.sign_in, trace).add_to(server.web_app.router)

    @app.page("/health/live")
    async def live(view: Any, _request: Any) -> Any:
        """200 while the process answers."""
        return view.json({"live": True})

    @app.page("/health/ready")
    async def ready(view: Any, _request: Any) -> Any:
        """200 while the worker consumes, 503 with the reason while it does not."""
        why = not_ready(worker)
        return view.json({"ready": why is None, "reason": why}, status=200 if why is None else 503)

    @app.page("/status")
    async def show_status(view: Any, _request: Any) -> Any:
        """Topics, lag, outcomes, guard and database."""
        return view.json(status(worker))

    async def log_level(request: web.Request) -> web.Response:
        """Change the log level (`?level=debug`); takes no cookie, which other sites may send."""
        if not authorized(
            request.headers.get("Authorization", ""), worker.settings.worker.web_token
        ):
            return web.Response(status=403, text=_BEARER_ONLY)
        try:
            level = Level(request.query.get("level", ""))
        except ValueError:
            return web.Response(status=400, text=f"level: one of {', '.join(Level)}\n")
        set_level(level)
        return web.json_response({"level": level})

    server.web_app.router.add_post("/log", log_level)

    @app.page("/metrics")
    async def show_metrics(view: Any, _request: Any) -> Any:
        """Metrics for Prometheus."""
        body = metrics.render(worker)
        return view.bytes(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
