"""The HTTP server: which way each request goes, health and metrics."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.process.connections import Connections, Patience, places, whose
from app.process.expectations import answer_expectations
from app.process.hosts import known
from openwhisk.gateway import answers
from openwhisk.gateway.bodies import Body, BodyTooLarge, Bounds, NoRoom, TooSlow, received
from openwhisk.gateway.credentials import Credentials, Judgement, Verdict
from openwhisk.gateway.decoder import Decoder
from openwhisk.gateway.deleted import Deleted
from openwhisk.gateway.entrance import Entrance
from openwhisk.gateway.fallback import Fallback, Switch
from openwhisk.gateway.headers import (
    can_be_passed_on,
    has_many_hops,
    leave_out_unsendable,
    without_hops,
)
from openwhisk.gateway.log_mode import LogModeWatch
from openwhisk.gateway.metrics import Kind, Metrics, Unanswered
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.patience import when_connected
from openwhisk.gateway.reads import NotStoredYet, Reads
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.records import Taking
from openwhisk.gateway.settings import Configuration
from openwhisk.gateway.shares import Shares
from openwhisk.gateway.storing import Storing
from openwhisk.gateway.targets import READS, Change, Named, Target, change, read, target
from openwhisk.gateway.turns import Turns
from openwhisk.gateway.upstream import (
    CLIENT,
    LONGEST_LINE,
    RefusedError,
    UnreachableError,
    Upstream,
    UpstreamError,
)
from openwhisk.gateway.writes import Writes
from openwhisk.publisher import Publisher

logger = logging.getLogger(__name__)

_ANSWERS_LEAVE = 1.0
"""Seconds to send the last answers, after all requests have been handled."""

_WAITING = 1 / 4
"""How many clients may wait for a place, as a share of all places. Refusing them would lose their
records: OpenWhisk never repeats a request that was answered, and repeats a broken one at once,
without a pause.
"""

_FILES_OF_A_CONNECTION = 2 + _WAITING
"""The client's own, and one to CouchDB for its request."""

_VERDICT_PAUSE = 1.0
"""Seconds between two checks of credentials while CouchDB does not say."""

_IDLE_CONNECTION = 300.0
"""Seconds until an idle connection is closed; as in CouchDB, so that clients can pool connections
for as long as there.
"""

_TIMES_AS_LONG = 20
"""Metrics are shown unchanged for this many times as long as it took to render them (some
milliseconds).
"""

_OF_THE_DEADLINE = 1 / 3
"""Share of the publish deadline that a large document may take to be read. By default that is more
than 20 seconds, of which the largest takes a few even on a busy machine.
"""

_FROM_COUCHDB = web.RequestKey("headers from CouchDB", dict[str, str])
"""Headers of CouchDB's verdict on a request that its answer should have."""

_ERROR = 300

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Write = Callable[[web.Request, Body, str], Awaitable[web.StreamResponse]]
"""Carries out a write whose body was received, for an owner."""


class Gateway:
    """Everything behind one listening socket.

    Args:
        configuration: the gateway's configuration.
        publisher: publishes to Kafka; started and stopped by the caller.
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
        self._reaching: asyncio.Future[tuple[bool, bool]] | None = None
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
        self._switch = Switch(settings.fallback)
        self._log_mode = LogModeWatch(configuration.log_mode)
        recent = Recent(settings.recent_bytes, settings.recent_seconds)
        on_the_wire = OnTheWire(settings.recent_seconds)
        self._metrics = Metrics(
            self._bodies, publisher.budget, recent, self._switch, self._log_mode
        )
        most = places(settings.connections, files_each=_FILES_OF_A_CONNECTION)
        self.connections = Connections(
            most,
            Patience(place=settings.publish_deadline, whole=settings.receive_deadline),
            waiting=max(1, int(most * _WAITING)),
            closed=lambda why: self._metrics.closed.labels(why).inc(),
        )
        self._metrics.connections = self.connections
        self._entrance = Entrance()
        self._turns = Turns()
        self._rendered = (float("-inf"), b"")
        """Until when the last rendered metrics are shown, and their text."""
        self._credentials = Credentials(
            upstream.ask,
            ttl=settings.credentials_ttl,
            grace=settings.credentials_grace,
            busy_grace=settings.credentials_busy_grace,
            patience=settings.connect_timeout,
        )
        self._reads = Reads(
            recent, on_the_wire, upstream, patience=settings.change_patience, metrics=self._metrics
        )
        self._deleted = Deleted()
        self._decoder = Decoder(
            configuration.role,
            settings.max_document_bytes,
            lambda line: self._log_mode.looked(line=line),
            # What it has not read is stored otherwise while the client waits.
            patience=settings.publish_deadline * _OF_THE_DEADLINE,
        )
        self._writes = Writes(
            Storing(
                publisher,
                configuration.topic,
                upstream=upstream,
                switch=self._switch,
                patience=settings.fallback_after,
                deadline=settings.publish_deadline,
                recent=recent,
                on_the_wire=on_the_wire,
                metrics=self._metrics,
            ),
            upstream=upstream,
            database=configuration.database,
            taking=Taking(configuration.role, settings.max_document_bytes, self._log_mode.look),
            decoder=self._decoder,
            reads=self._reads,
            deleted=self._deleted,
            turns=self._turns,
            metrics=self._metrics,
            deadline=settings.publish_deadline,
        )

    def runner(self) -> web.AppRunner:
        """The server, which does not listen yet."""
        answer_expectations()
        app = web.Application(middlewares=[self._meant_for_us])
        app.router.add_get("/_gateway/health", self.health)
        app.router.add_get("/_gateway/metrics", self.metrics)
        # A path may contain encoded line ends.
        app.router.add_route("*", "/{path:(?s:.*)}", self.handle)
        app.on_response_prepare.append(self._close_when_draining)
        app.on_response_prepare.append(_completed)
        app.on_response_prepare.append(_left_out)
        app.on_cleanup.append(self._stop_decoder)
        return web.AppRunner(
            app,
            access_log=None,
            # Ends a long poll upstream when its client has left.
            handler_cancellation=True,
            keepalive_timeout=_IDLE_CONNECTION,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            shutdown_timeout=_ANSWERS_LEAVE,
        )

    async def drain(self) -> None:
        """Wait, within the shutdown deadline, for requests in flight, after the listener closed.

        aiohttp's own shutdown would discard the rest of bodies that are still arriving.
        """
        self._draining = True
        try:
            async with asyncio.timeout(self._settings.shutdown_deadline):
                await self._idle.wait()
        except TimeoutError:
            logger.error("%s requests did not end in time and are cut off", self._in_flight)  # noqa: TRY400 - one line

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle a write of activations, and pass everything else through."""
        self._in_flight += 1
        self._idle.clear()
        CLIENT.set(request.remote or "unknown")
        try:
            return await self._handled(request)
        except ConnectionError as error:
            # The client has left, or CouchDB has in the middle of its answer; the gateway is not at
            # fault.
            logger.debug("a request ended with its connection: %r", error)
            return answers.none(request)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def health(self, _: web.Request) -> web.Response:
        """200 while records can be accepted, even if either Kafka or CouchDB is away."""
        # One check at a time for everybody, because each costs Kafka and CouchDB a request.
        if self._reaching is None or self._reaching.done():
            self._reaching = asyncio.ensure_future(self._reach())
        kafka, couchdb = await asyncio.shield(self._reaching)
        kafka = kafka and self._switch.away_since is None
        taking = kafka or (couchdb and self._switch.fallback is Fallback.COUCHDB)
        return web.json_response(
            {
                "taking_records": taking,
                "kafka": kafka,
                "couchdb": couchdb,
                "writing_to": "couchdb" if self._switch.open else "kafka",
                "log_mode": {
                    "set": self._log_mode.mode,
                    "logs": self._log_mode.logs,
                    "fits": self._log_mode.fits,
                },
            },
            status=200 if taking else 503,
        )

    async def _reach(self) -> tuple[bool, bool]:
        """Whether Kafka and CouchDB answer."""
        return await asyncio.gather(
            self._publisher.reachable(self._topic), self._upstream.reachable()
        )

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format, rendered so seldom that it takes a small share of the time."""
        began, (until, body) = time.monotonic(), self._rendered
        if began >= until:
            body = generate_latest(self._metrics.registry)
            ended = time.monotonic()
            self._rendered = (ended + (ended - began) * _TIMES_AS_LONG, body)
        return web.Response(
            body=body,
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    async def _handled(self, request: web.Request) -> web.StreamResponse:
        headers = without_hops(request.headers)  # as CouchDB would see them
        wanted = target(request.method, request.raw_path, headers, self._database)
        kind = Kind.PROXIED
        if wanted is not None:
            kind = Kind.DOCUMENT if wanted.document_id else Kind.BULK
        changes = change(request.method, request.raw_path, headers, self._database)
        try:
            if changes.database:
                response = await self._replace(request, changes)
            elif wanted or changes.ids or changes.all or (changes.named and self._reads.expect_any):
                response = await self._write(request, wanted, changes)
            else:
                response = await self._pass(request)
        except RefusedError as refused:
            response = answers.refused(refused.refusal)
        except NotStoredYet:
            response = self._no_answer(request, Unanswered.NOT_STORED_YET)
        except UpstreamError as problem:
            response = answers.no_answer(str(problem))
        self._metrics.requests.labels(kind, response.status).inc()
        return response

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        """Pass a request through that changes no document that may have to wait."""
        document_id = read(request.method, request.raw_path, self._database)
        if document_id is None:
            return await self._upstream.forward(request)
        early = await self._reads.document(request, document_id)
        if early is not None:
            return early
        response = await self._upstream.forward(request)
        self._deleted.read(document_id, response)
        return response

    async def _replace(self, request: web.Request, changes: Change) -> web.StreamResponse:
        """Pass a request through that may drop or create the database.

        Raises:
            RefusedError: CouchDB refuses the credentials.
            UpstreamError: CouchDB does not say whether the client may do so. It has not seen the
                request then.
        """
        may = await self._upstream.administers(request.headers)
        answer = self._upstream.forward(request)
        response = await self._deleted.changing(changes, answer, may=may)
        if response.status < _ERROR:
            self._reads.forget()
        return response

    @web.middleware
    async def _meant_for_us(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await self._entrance.enter(whose(request.remote or ""))
        names = self._settings.names
        own = request.path.startswith("/_gateway/")
        hosts = request.headers.getall("Host", ())
        if (own or names) and not known(hosts, names | {self._settings.listen_host}):
            return answers.elsewhere()
        if "#" in request.raw_path:
            return answers.fragment()
        if not can_be_passed_on(request.headers):
            return answers.unreadable_header()
        if has_many_hops(request.headers):
            return answers.many_hops()
        return await handler(request)

    async def _close_when_draining(self, _: web.Request, response: web.StreamResponse) -> None:
        if self._draining:
            response.force_close()
            response.headers["Connection"] = "close"

    async def _stop_decoder(self, _: web.Application) -> None:
        self._decoder.stop()

    async def _write(
        self, request: web.Request, wanted: Target | None, changes: Change
    ) -> web.StreamResponse:
        """Take a write, or pass it through when the documents that it changes are stored.

        Args:
            request: the client's request.
            wanted: the write that may be taken; None if it passes through.
            changes: which documents it may change.
        """
        judgement = await self._judged(request)
        _hand_on(judgement, request)
        if judgement.refusal is not None:
            return answers.refused(judgement.refusal)
        if judgement.verdict not in (Verdict.VALID, Verdict.HEARD_BY_COUCHDB):
            return self._no_answer(request, Unanswered.CREDENTIALS)
        owners = [f"address {whose(request.remote or 'unknown')}"]
        if judgement.user is not None:
            owners.append(f"user {judgement.user}")
        if wanted is not None and judgement.verdict is Verdict.VALID:
            return await self._within_bounds(request, owners, partial(self._take, wanted))
        if changes.named and self._reads.expect_any:
            passing = partial(self._pass_on, changes.named)
            return await self._within_bounds(request, owners, passing)
        return await self._heard(request, changes, owners[-1])

    async def _within_bounds(
        self, request: web.Request, owners: Sequence[str], write: Write
    ) -> web.StreamResponse:
        """Receive the body of a write, and carry it out."""
        try:
            share = self._bodies.share(*owners)
            async with received(request, share, self._bounds, self._turns) as body:
                return await write(request, body, owners[-1])
        except BodyTooLarge:
            return answers.too_large()
        except NoRoom:
            return self._no_answer(request, Unanswered.ROOM)
        except TooSlow:
            # It may be a garbage collection or a slow network, and the client would not repeat
            # after a 408.
            return self._no_answer(request, Unanswered.BODY)

    async def _take(
        self, wanted: Target, request: web.Request, body: Body, owner: str
    ) -> web.StreamResponse:
        if wanted.document_id is None:
            return await self._writes.bulk(request, body, owner)
        return await self._writes.document(request, body, wanted.document_id, owner)

    async def _pass_on(
        self, named: Named, request: web.Request, body: Body, owner: str
    ) -> web.StreamResponse:
        return await self._writes.pass_on(request, body, named, owner)

    async def _heard(self, request: web.Request, changes: Change, owner: str) -> web.StreamResponse:
        if changes.all:
            await self._reads.all_stored(request.headers, owner)
        else:
            await self._reads.stored(changes.ids, request.headers)
        until = time.monotonic() + self._settings.publish_deadline
        answer = when_connected(lambda: self._upstream.forward(request), until)
        try:
            # A read through a design document may delete. Any member can send one and hang up.
            may = request.method not in READS
            return await self._deleted.changing(changes, answer, owner=owner, may=may)
        except UnreachableError:
            return self._no_answer(request, Unanswered.NOT_STORED)

    async def _judged(self, request: web.Request) -> Judgement:
        """The verdict on a write, which is held while CouchDB cannot be asked."""
        until = time.monotonic() + self._settings.publish_deadline
        while True:
            client = request.remote or "unknown"
            judgement = await self._credentials.judge(request.headers, client)
            known = judgement.verdict not in (Verdict.BUSY, Verdict.UNREACHABLE)
            if known or time.monotonic() >= until:
                return judgement
            await asyncio.sleep(min(_VERDICT_PAUSE, max(0.0, until - time.monotonic())))

    def _no_answer(self, request: web.Request, cause: Unanswered) -> web.Response:
        self._metrics.refused.labels(cause).inc()
        return answers.none(request)


def _hand_on(judgement: Judgement, request: web.Request) -> None:
    """Have the answer to a request say what CouchDB said to the question about it."""
    request[_FROM_COUCHDB] = {**judgement.headers}
    if judgement.session is not None:
        request[_FROM_COUCHDB]["Set-Cookie"] = judgement.session


async def _completed(request: web.Request, response: web.StreamResponse) -> None:
    """Add what CouchDB said about the request, where the answer does not say it itself."""
    for name, value in request.get(_FROM_COUCHDB, {}).items():
        response.headers.setdefault(name, value)


async def _left_out(_: web.Request, response: web.StreamResponse) -> None:
    leave_out_unsendable(response.headers)
