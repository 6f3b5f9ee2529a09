"""The web endpoint: health for a supervisor, status for a person, metrics for Prometheus.

One middleware stands before every page, those that do not exist included.
"""

import hmac
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, ClassVar

from aiohttp import web
from faust.web.drivers import aiohttp as driver
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import SecretStr

from app.connections import BoundedSite, Connections, places
from app.monitoring import metrics
from app.monitoring.status import not_ready, status

HEALTH = ("/health/live", "/health/ready")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_CONNECTIONS = 64
_SHARE_OF_FILES = 8
"""Connections have an eighth of the files at most: Kafka and the database need the others."""

_FORBIDDEN = (
    "Only /health/live and /health/ready are shown on an address that others can reach. Set "
    "PERSISTER_WEB_TOKEN or PERSISTER_WEB_TOKEN_FILE, and send it as `Authorization: Bearer ...`; "
    "or listen on 127.0.0.1 (PERSISTER_WEB_HOST).\n"
)
_UNAUTHORIZED = (
    "This page needs the token of PERSISTER_WEB_TOKEN[_FILE] as `Authorization: Bearer ...`.\n"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refusal(
    path: str, authorization: str, *, address: str, token: SecretStr | None
) -> web.Response | None:
    """The answer to a request that may not see what it asks for; None when it may.

    Args:
        path: of the page, decoded.
        authorization: the header of that name; empty without one.
        address: that the server listens on.
        token: of the settings.
    """
    if path in HEALTH:
        return None
    if token is None:
        return None if is_loopback(address) else web.Response(status=403, text=_FORBIDDEN)
    scheme, _, given = authorization.partition(" ")
    expected = token.get_secret_value().encode()
    # In constant time: how long it takes must not tell how much of a guess was right.
    right = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
    if right and scheme.lower() == "bearer":
        return None
    return web.Response(status=401, text=_UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an address; not, when it is a name or empty."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


class Web(driver.Web):
    """Faust's web server without Faust's pages, and with a middleware before all others.

    Faust's pages show table contents and its routing table; its settings for them can be
    overridden by variables such as APP_WEB_TABLES_ENABLED and follow `--debug`.
    """

    default_blueprints: ClassVar[Any] = ()
    debug_blueprints: ClassVar[Any] = ()
    production_blueprints: ClassVar[Any] = ()
    optional_blueprints: ClassVar[Any] = ()

    app: Any

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.web_app.middlewares.append(self._guarded)

    @property
    def address(self) -> str:
        """Where it listens: `--web-bind` if given, else `--web-host`, which Faust only shows."""
        conf = self.app.conf
        given = conf.web_bind != self.app.settings.worker.web_host
        # Faust's own host stands in a URL, so that an IPv6 address has brackets there.
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
        refused = refusal(
            request.path,
            request.headers.get("Authorization", ""),
            address=self.address,
            token=self.app.settings.worker.web_token,
        )
        try:
            response = refused or await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        response.headers.update(HEADERS)
        return response


def add_pages(app: Any) -> None:
    """Add the pages to Faust's web server."""

    @app.page("/health/live")
    async def live(view: Any, _request: Any) -> Any:
        """200 while the process answers."""
        return view.json({"live": True})

    @app.page("/health/ready")
    async def ready(view: Any, _request: Any) -> Any:
        """200 while the worker consumes, 503 with the reason while it does not."""
        why = not_ready(app)
        return view.json({"ready": why is None, "reason": why}, status=200 if why is None else 503)

    @app.page("/status")
    async def show_status(view: Any, _request: Any) -> Any:
        """Topics, lag, outcomes, guard and database."""
        return view.json(status(app))

    @app.page("/metrics")
    async def show_metrics(view: Any, _request: Any) -> Any:
        """The same for Prometheus."""
        body = metrics.render(app)
        return view.bytes(body, headers={"Content-Type": CONTENT_TYPE_LATEST})
