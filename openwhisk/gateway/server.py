"""The HTTP server: which way each request goes, health and metrics."""

import asyncio
import logging

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.connections import Connections, places
from openwhisk.gateway import answers
from openwhisk.gateway.bodies import BodyTooLarge, Bounds, NoRoom, TooSlow, received
from openwhisk.gateway.credentials import Credentials, Verdict
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.records import Taking
from openwhisk.gateway.settings import Configuration
from openwhisk.gateway.shares import Share, Shares
from openwhisk.gateway.targets import Target, target
from openwhisk.gateway.upstream import LONGEST_LINE, Upstream
from openwhisk.gateway.writes import Writes
from openwhisk.publisher import Publisher

logger = logging.getLogger(__name__)

_ANSWERS_LEAVE = 1.0
"""Seconds for the last answers to leave, after all requests have been dealt with."""

_FILES_OF_A_CONNECTION = 2
"""The client's, and the one to CouchDB for its request."""

_IDLE_CONNECTION = 300.0
"""Seconds; as CouchDB, so that no client finds a pooled connection closed earlier than there."""


class Gateway:
    """Everything behind one listening socket.

    Args:
        configuration: of the gateway.
        publisher: to Kafka; started and stopped by the caller.
        upstream: CouchDB; closed by the caller.
    """

    def __init__(
        self, configuration: Configuration, publisher: Publisher, upstream: Upstream
    ) -> None:
        settings = configuration.gateway
        self._settings = settings
        self._database = configuration.database
        self._topic = configuration.topic
        self._publisher = publisher
        self._upstream = upstream
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._bodies = Shares(settings.bytes_in_flight)
        self._bounds = Bounds(
            settings.max_body_bytes,
            room=settings.publish_deadline,
            time=settings.receive_deadline,
            pause=settings.receive_pause,
        )
        self._metrics = Metrics(self._bodies, publisher.budget)
        self.connections = Connections(
            places(settings.connections, files_each=_FILES_OF_A_CONNECTION),
            closed=lambda why: self._metrics.closed.labels(why).inc(),
        )
        self._credentials = Credentials(
            upstream.ask,
            ttl=settings.credentials_ttl,
            grace=settings.credentials_grace,
            busy_grace=settings.credentials_busy_grace,
            patience=settings.connect_timeout,
        )
        self._writes = Writes(
            publisher,
            configuration.topic,
            upstream=upstream,
            database=configuration.database,
            taking=Taking(configuration.role, settings.max_document_bytes),
            metrics=self._metrics,
        )

    def runner(self) -> web.AppRunner:
        """The server, not yet listening."""
        app = web.Application()
        app.router.add_get("/_gateway/health", self.health)
        app.router.add_get("/_gateway/metrics", self.metrics)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_response_prepare.append(self._close_when_draining)
        return web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            # A long poll whose client has left must not go on upstream.
            handler_cancellation=True,
            keepalive_timeout=_IDLE_CONNECTION,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            shutdown_timeout=_ANSWERS_LEAVE,
        )

    async def drain(self) -> None:
        """Let the requests in flight end, within the shutdown deadline; the listener is closed.

        aiohttp's own shutdown throws away what arrives of a body that is not complete yet.
        """
        self._draining = True
        try:
            async with asyncio.timeout(self._settings.shutdown_deadline):
                await self._idle.wait()
        except TimeoutError:
            logger.error("%s requests did not end in time and are cut off", self._in_flight)  # noqa: TRY400 - one line

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a write of activations, pass everything else through."""
        self._in_flight += 1
        self._idle.clear()
        try:
            return await self._handled(request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def health(self, _: web.Request) -> web.Response:
        """200 while records can be taken; CouchDB may be away meanwhile."""
        kafka, couchdb = await asyncio.gather(
            self._publisher.reachable(self._topic), self._upstream.reachable()
        )
        taking = kafka and self._publisher.failing_since is None
        return web.json_response(
            {"taking_records": taking, "kafka": kafka, "couchdb": couchdb},
            status=200 if taking else 503,
        )

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format."""
        return web.Response(
            body=generate_latest(self._metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _handled(self, request: web.Request) -> web.StreamResponse:
        wanted = target(request.method, request.raw_path, request.headers, self._database)
        if wanted is None:
            kind = "proxied"
            response = await self._upstream.forward(request)
        else:
            kind = "document" if wanted.document_id else "bulk"
            response = await self._write(request, wanted)
        self._metrics.requests.labels(kind, response.status).inc()
        return response

    async def _close_when_draining(self, _: web.Request, response: web.StreamResponse) -> None:
        if self._draining:
            response.force_close()
            response.headers["Connection"] = "close"

    async def _write(self, request: web.Request, wanted: Target) -> web.StreamResponse:
        judgement = await self._credentials.judge(request.headers, request.remote or "unknown")
        if judgement.refusal is not None:
            return answers.refused(judgement.refusal)
        if judgement.verdict is Verdict.HEARD_BY_COUCHDB:
            return await self._upstream.forward(request)
        if judgement.verdict is not Verdict.VALID:
            return self._try_again("credentials", "CouchDB can't be asked about the credentials")
        owners = [f"address {request.remote}"]
        if judgement.user is not None:
            owners.append(f"user {judgement.user}")
        return await self._within_bounds(request, wanted, self._bodies.share(*owners))

    async def _within_bounds(
        self, request: web.Request, wanted: Target, share: Share
    ) -> web.StreamResponse:
        try:
            return await self._receive_and_write(request, wanted, share)
        except BodyTooLarge:
            return answers.too_large()
        except NoRoom:
            return self._try_again("bytes-in-flight", "too many bytes in flight")
        except TooSlow:
            return answers.too_slow()

    async def _receive_and_write(
        self, request: web.Request, wanted: Target, share: Share
    ) -> web.StreamResponse:
        async with received(request, share, self._bounds) as body:
            if wanted.document_id is None:
                return await self._writes.bulk(request, body)
            return await self._writes.document(request, body, wanted.document_id)

    def _try_again(self, cause: str, reason: str) -> web.Response:
        self._metrics.refused.labels(cause).inc()
        return answers.try_again(f"not stored: {reason}")
