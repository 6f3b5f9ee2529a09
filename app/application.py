"""The application: what it is made of, and in which order its parts start and stop."""

import asyncio
import gc
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import faust
import mode
import mode.loop
from faust.app.base import BootStrategy as FaustBootStrategy
from faust.types import TP
from faust.types.agents import AgentT
from mode import Service
from mode.types import ServiceT

from app.couchdb import BulkWriter, Database, DatabaseWatch, ViewRefresh
from app.dead_letters import DeadLetters, DeadLetterTooLargeError
from app.kafka.access import Access, explain, not_written, why_refused
from app.kafka.clients import broker_credentials
from app.kafka.delivery import Callbacks, ChunkTopic, Transport
from app.kafka.delivery.ledger import Ledger
from app.kafka.delivery.thread import ConsumerThread
from app.kafka.discovery import Discovery, OwnTopics
from app.kafka.errors import KafkaError
from app.kafka.patches.foreign_entries import EntrySchema, Sieve
from app.kafka.patches.repeated_logs import calm_kafka_clients
from app.kafka.patches.table_recovery import TableManager
from app.kafka.producer import BatchProducer
from app.kafka.producer_service import ProducerService
from app.kafka.subscription import Subscription
from app.kafka.topics import TopicNames, guard_changelog, own_topics, workers_topic
from app.monitoring.activity import Watched
from app.monitoring.group import Exchange, OneDatabase, Roster
from app.monitoring.group.gathering import Gathering
from app.monitoring.group.sampling import sample
from app.monitoring.history import History
from app.monitoring.lag import Lags
from app.monitoring.latency import Latency
from app.monitoring.monitored import Monitored
from app.monitoring.narrator import Narrator
from app.monitoring.outcomes import Outcomes
from app.monitoring.progress import Knowledge, Progress, rules_of
from app.monitoring.retention import Retention, Unread
from app.monitoring.trace.desk import Desk
from app.monitoring.web import Web, add_pages
from app.process.errors import StandstillError, StartError
from app.process.expectations import answer_expectations
from app.process.heartbeat import Heartbeat
from app.process.logs import faust_logging, protect_logs
from app.process.preflight import check_port, prepare_folder, raise_open_files
from app.process.recent import RecentWarnings
from app.process.seldom import calm, calm_web_server
from app.process.signals import handle_signals
from app.process.still import StillMonitor, StillSupervisor
from app.process.stopping import GRACE, Watchdog
from app.process.surroundings import open_standard_streams
from app.routing.breaker import Breakers
from app.routing.step import RoutingStep
from app.settings import Settings, open_secrets
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard
from app.storing.guard.entries import is_entry, most_entries, partition_of
from app.storing.guard.table import GuardTable
from app.storing.step import StoringStep
from app.tracing import open_tracing
from app.version import VERSION
from models.roles import TopicRole

if TYPE_CHECKING:
    from app.kafka.delivery.consumer import Consumer

GC_THRESHOLDS = (100_000, 20, 20)

REBALANCE_SECONDS = 30.0

OF_STRANGERS = (
    "app.couchdb.diagnosis",
    "app.dead_letters.writing",
    "app.kafka.reader",
)
"""Loggers of what anybody can bring about who may write to a topic."""

WEEKS = 20 * 86_400.0

MIB = 1024 * 1024


class BootStrategy(FaustBootStrategy):
    """Faust's services and the persister's, in start order; they stop in reverse.

    The web endpoint comes first, so that a worker that waits for Kafka can say what it is doing;
    storing starts before consuming, so that it still works while consuming stops.
    """

    def server(self) -> Iterable[ServiceT]:
        """Return the services of `faust worker`."""
        app = cast("Persister", self.app)
        return chain(
            self.sensors(),
            self.web_server(),
            [app.progress, app.narrator, app.exchange, app.access, app.own_topics],
            self.kafka_producer(),
            [app.producer_service, app.writer, app.database_watch, app.one_database],
            [app.view_refresh, app.storing_step],
            self.kafka_consumer(),
            self.agents(),
            self.kafka_conductor(),
            self.tables(),
            [app.discovery, app.retention],
        )


class Persister(faust.App):
    """The Faust app with the persister's parts as typed attributes; agents find them here."""

    BootStrategy = BootStrategy

    def __init__(self, settings: Settings) -> None:
        """Build everything; nothing connects before the worker starts."""
        super().__init__(settings.kafka.app_id, **faust_options(settings))
        self.settings = settings
        self.names = TopicNames(settings.kafka.topic_prefix)
        self.ledger = Ledger()
        self.outcomes: Outcomes = Outcomes()
        self.latency: Latency = Latency(self.names.documents)
        self.stopping = Watchdog(
            settings.worker.shutdown_deadline + GRACE, why=self._what_keeps_it_from_stopping
        )
        self.tracing = open_tracing(
            on=settings.worker.tracing,
            app_id=settings.kafka.app_id,
            worker=settings.kafka.instance_id,
        )
        producer = BatchProducer(settings.kafka, end=self._end_refused)
        self.producer_service = ProducerService(producer, beacon=self.beacon)
        self.dead_letters = DeadLetters(
            producer, self.names.dead_letters, ours={self.names.documents}
        )
        self.breakers = Breakers(settings.breaker)
        self.routing_step = RoutingStep(
            settings.routing,
            producer,
            self.names.documents,
            self.dead_letters,
            self.outcomes,
            breakers=self.breakers,
            tracing=self.tracing,
        )
        self.database = Database(settings.database, self.tracing)
        self.writer: BulkWriter = BulkWriter(
            self.database,
            settings.database,
            settings.diagnosis,
            topic_prefix=settings.kafka.topic_prefix,
            cleared=self._cleared,
        )
        self.writer.beacon.reattach(self.beacon)
        self.database_watch = DatabaseWatch(self.writer, beacon=self.beacon)
        self.view_refresh = ViewRefresh(
            self.writer,
            self.database,
            settings.database.view_refresh_seconds,
            beacon=self.beacon,
        )
        changelog = guard_changelog(settings.kafka)
        table = self.Table(
            "guard",
            partitions=settings.kafka.partitions,
            key_type=str,
            value_type=bytes,
            schema=EntrySchema(lambda key, value: partition_of(key, value) is not None),
            extra_topic_configs=changelog.config,
            explain=lambda error: not_written(changelog.name, error, settings.kafka),
        )
        self.guard_table = cast("GuardTable", table)
        self.sieve = Sieve(
            is_entry, *most_entries(settings.guard.records), end=self._end_of_changelog
        )
        self.guard = Guard(
            self.guard_table,
            settings.guard,
            clock=time.time,
            forget=self._forget_entry,
            topic_prefix=settings.kafka.topic_prefix,
        )
        self.watched = Watched(
            activity=settings.worker.activity, namespaces=settings.worker.metrics_namespaces
        )
        self.storing_step: StoringStep = StoringStep(
            self.guard,
            self.writer,
            self.dead_letters,
            self.outcomes,
            settings.worker,
            breaker=StoreBreaker(
                settings.store_breaker,
                documents_per_second=settings.database.documents_per_second,
            ),
            stored=self.watched.stored,
            tracing=self.tracing,
            paced=settings.database.documents_of_a_second,
            beacon=self.beacon,
        )
        self.documents_topic = ChunkTopic(
            self, topics=(self.names.documents,), partitions=settings.kafka.partitions
        )
        self.role_topics = {role: ChunkTopic(self, role=role) for role in TopicRole}
        self.subscription = Subscription(
            self.topics, self.role_topics, self.names, settings.routing.log_mode
        )
        own = own_topics(self.names, settings.kafka)
        needed = [*own, changelog]
        self.access = Access(settings.kafka, needed, self, beacon=self.beacon)
        self.own_topics = OwnTopics(
            settings.kafka, self.names, self.subscription, self, beacon=self.beacon
        )
        self.discovery = Discovery(
            settings.kafka,
            {spec.name: spec.partitions for spec in needed},
            self.subscription,
            fixed=[self.names.documents],
            thread=self._consumer_thread,
            read_anew=lambda: cast("Consumer", self.consumer).look_for_recreated(),
            end=self.end,
            beacon=self.beacon,
        )
        self.progress: Progress = Progress(
            settings.kafka,
            rules_of(settings, self.names),
            Knowledge(
                self,
                cast("TableManager", self.tables),
                self.names.documents,
                producer=self.producer_service,
                breakers=self.breakers,
                writer=self.writer,
                storing_step=self.storing_step,
                discovery=self.discovery,
                outcomes=self.outcomes,
                ledger=self.ledger,
            ),
            stuck_after=settings.worker.stuck_after,
            end=self._end_standing_still,
            heartbeat=Heartbeat(settings.worker.stuck_after),
            topics=self.discovery.hear,
            beacon=self.beacon,
        )
        lags = Lags(self.progress, self.ledger)
        self.retention = Retention(
            lags, Unread(settings.kafka), settings.kafka.retention_warning, beacon=self.beacon
        )
        monitored = self.monitored = Monitored(
            service=self,
            kafka=settings.kafka,
            settings=settings,
            progress=self.progress,
            lags=lags,
            discovery=self.discovery,
            retention=self.retention,
            outcomes=self.outcomes,
            latency=self.latency,
            watched=self.watched,
            breakers=self.breakers,
            guard=self.guard,
            guard_table=self.guard_table,
            storing_step=self.storing_step,
            writer=self.writer,
            database=self.database,
            dead_letters=self.dead_letters,
            roster=Roster(),
            history=History(),
            warnings=RecentWarnings(besides=["app.dead_letters.writing"]),
        )
        self.narrator = Narrator(monitored, beacon=self.beacon)
        gather = Gathering(monitored, port=lambda: self.conf.web_port)
        self.exchange: Exchange = Exchange(
            settings.kafka,
            workers_topic(self.names.workers),
            gather,
            monitored.roster,
            looked=lambda: monitored.history.add(sample(monitored)),
            away=lambda: self.progress.kafka.away_since is not None,
            beacon=self.beacon,
        )
        self.one_database = OneDatabase(
            settings.database,
            self.exchange,
            monitored.roster,
            gather=gather,
            look=self.writer.requests.look_after,
            written=lambda: self.writer.stats.documents_written,
            worker=self,
            end=self.end,
            beacon=self.beacon,
        )
        self.on_partitions_revoked.connect(self._forget)
        self.on_rebalance_complete.connect(self._remember)

    async def start(self) -> None:
        """Start everything.

        Raises:
            StartError: this machine lacks something; or Kafka has let the worker in and then gone
                away. What connects then cannot begin again within Faust; the supervisor's next
                start waits for Kafka.
        """
        self.monitored.warnings.attach()
        raise_open_files()
        given = self.settings
        for line in open_secrets((given.kafka, given.database, given.worker)):
            self.log.warning(line)
        prepare_folder(Path(self.conf.datadir))
        if self.conf.web_enabled:
            check_port(cast("Web", self.web).address, self.conf.web_port)
        self.log.info("%s", self._introduction())
        try:
            await super().start()
        except KafkaError as error:
            if not error.retriable:
                raise
            kafka = self.settings.kafka
            raise StartError(
                f"Kafka at {kafka.url} went away while the worker started "
                f"({explain(error, kafka)}); the next start waits for it"
            ) from None

    async def on_started(self) -> None:
        """Tune Python's cycle collector, then do as Faust does.

        A chunk is some thousand objects without cycles that live for as long as the database takes;
        scanning them again and again cost a tenth of the worker's time.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        handle_signals(asyncio.get_running_loop())
        await super().on_started()

    def end(self, error: StartError) -> None:
        """End the running worker with a message and a non-zero exit code.

        It crashes, so that services stop in their usual order, but without a traceback.
        """
        if not self.should_stop:
            self.log.error("%s. Ending the worker.", error)
            self._end_with(error)

    def _end_with(self, error: SystemExit) -> None:
        # Not by `crash`, which logs the traceback of an error that was never raised.
        self.stopping.start()
        root = self.beacon.root
        service = root.data if root and isinstance(root.data, Service) else self
        service._crash(error)  # noqa: SLF001

    def _end_refused(self, topic: str, refusal: KafkaError) -> None:
        self.end(StartError(why_refused(topic, refusal, self.settings.kafka)))

    def _what_keeps_it_from_stopping(self) -> str:
        kafka = self.progress.kafka
        return f"Kafka does not answer: {kafka.last_error}" if kafka.away_since is not None else ""

    async def stop(self) -> None:
        """Stop within the deadline for in-flight work, plus a short grace period."""
        self.stopping.start()
        await super().stop()
        await self.tracing.close()

    def _introduction(self) -> str:
        kafka, web = self.settings.kafka, "no web endpoint"
        if self.conf.web_enabled:
            web = f"web endpoint on {cast('Web', self.web).address}, port {self.conf.web_port}"
        return (
            f"Version {VERSION} starts as {kafka.app_id}: from {kafka.url} to "
            f"{self.database.address}; {web}; data folder {self.conf.datadir}"
        )

    def _new_transport(self) -> Transport:
        # Faust looks the transport up by the URL's scheme.
        return Transport(
            self.conf.broker_consumer,
            self,
            kafka=self.settings.kafka,
            ledger=self.ledger,
            shutdown_deadline=self.settings.worker.shutdown_deadline,
            callbacks=Callbacks(
                held=lambda tp: self.breakers.holds(tp.topic),
                finished=self.latency.finished,
                committing=self.guard_table.send_changes,
                lost=self._count_lost,
                end=self.end,
            ),
            sieve=self.sieve,
        )

    def _new_web(self) -> Web:
        # Faust looks this up by the URL's scheme, too.
        return Web(self, self.settings.worker)

    async def _cleared(self) -> None:
        # The writer is made first: what compares databases needs it.
        await self.one_database.cleared()

    def _consumer_thread(self) -> ConsumerThread:
        return cast("Consumer", self.consumer).thread

    def _count_lost(self, tp: TP, count: int) -> None:
        self.outcomes.lost[tp.topic] += count

    async def _on_agent_error(self, agent: AgentT[Any], exc: BaseException) -> None:
        """Stop the worker.

        Faust would start the agent again and never give it the failed chunk again; after a crash
        the chunk is delivered to the partition's next owner.
        """
        if isinstance(exc, DeadLetterTooLargeError):
            self.end(StartError(str(exc)))
            # Until it is cancelled: its end would be logged with a traceback.
            await asyncio.get_running_loop().create_future()
        await agent.crash(exc)
        await self.crash(exc)

    async def _end_standing_still(self, error: StandstillError) -> None:
        """End the worker even if something hangs: the stop has its own deadline."""
        self._end_with(error)

    async def _forget(self, _app: Any, /, *revoked: Any, **_: Any) -> None:
        (partitions,) = revoked
        self.guard_table.send_changes()
        self.guard.revoke(self._numbers(partitions))

    async def _remember(self, _app: Any, /, *_args: Any, **_: Any) -> None:
        # What is remembered of a database is counted from here on, not from the first record on.
        self.guard.bind(self.writer.identity)
        self.guard.assign(self._numbers(self.consumer.assignment()))
        self.retention.look_soon()

    def _forget_entry(self, key: str) -> None:
        # From the local store only: the entry belongs to the partition's present owner.
        store: Any = self.guard_table.data
        store.data.pop(key, None)

    def _end_of_changelog(self, tp: TP) -> int | None:
        recovery = cast("TableManager", self.tables).recovery
        found: int | None = recovery.active_highwaters.get(tp)
        return found

    def _numbers(self, partitions: Iterable[TP]) -> list[int]:
        return [tp.partition for tp in partitions if tp.topic == self.names.documents]


def create_app(settings: Settings) -> Persister:
    """Build the application, add its pages, and apply the patches to the libraries beneath it.

    Agents are added by `agents.register`. Nothing connects before the worker starts.
    """
    open_standard_streams()
    mode.loop.use("uvloop")
    protect_logs()
    # Operators need not know that each service starts and stops.
    mode.Service.mundane_level = "debug"
    calm_kafka_clients()
    calm_web_server()
    calm(*OF_STRANGERS)
    answer_expectations()
    app = Persister(settings)
    add_pages(app, app.monitored, Desk(settings, app.guard).ask)
    return app


def faust_options(settings: Settings) -> dict[str, Any]:
    """Faust's own settings, where its defaults lose data or time; comments say why."""
    kafka, worker = settings.kafka, settings.worker
    return {
        # Otherwise what stands here comes after variables such as WEB_PORT or PRODUCER_ACKS, whose
        # names are anybody's.
        "env": {},
        "broker": kafka.url,
        "broker_credentials": broker_credentials(kafka),
        "datadir": str(worker.datadir),
        "TableManager": TableManager,
        # It compares offsets in memory with the end of the changelog, and ends the worker when that
        # has been re-created, or a broker is mistaken. What the guard then misses, the database's
        # conflict answers catch.
        "recovery_consistency_check": False,
        # One of Faust's would read the changelog of every partition that another worker has. Faust
        # drops what a table in memory holds of them, and begins anew where one is handed over.
        "table_standby_replicas": 0,
        "Table": GuardTable,
        "Monitor": StillMonitor,
        "agent_supervisor": StillSupervisor,
        "store": "memory://",
        "logging_config": faust_logging(worker.log_format),
        # Stands in Faust's canonical URL.
        "web_host": f"[{worker.web_host}]" if ":" in worker.web_host else worker.web_host,
        # Where it listens; Faust's default is every address.
        "web_bind": worker.web_host,
        "web_port": worker.web_port,
        # A SIGKILLed member's partitions stand still for the session timeout: Faust's 60 s is long.
        "broker_session_timeout": kafka.session_timeout,
        "broker_heartbeat_interval": kafka.session_timeout / 4,
        "consumer_group_instance_id": kafka.instance_id,
        # A static member is handed what it had before, and Faust's assignor takes it only from the
        # same URL, although nobody asks there: it must outlive another host or port.
        "canonical_url": f"http://{quote(kafka.instance_id)}" if kafka.instance_id else None,
        # While the database is down nothing is fetched, and that must not look like a dead member.
        # It bounds two things, both within aiokafka: a member that has not fetched for so long
        # leaves the group, and does not join again until it fetches, which here comes after it has
        # joined. A worker that hangs is found by its endpoint and by the judge of its progress.
        "broker_max_poll_interval": WEEKS,
        # Chunks of a few thousand records cost a quarter less for each than those of a few hundred.
        "consumer_max_fetch_size": max(MIB, min(4 * MIB, kafka.fetch_bytes // kafka.partitions)),
        # For as long a dead connection may look alive; longer than a member waits in JoinGroup.
        "broker_request_timeout": max(REBALANCE_SECONDS + 10, kafka.session_timeout),
        # In JoinGroup: how long the others wait for a member that does not come back. Giving up
        # partitions takes 3 s for what is in flight and at most 5 s each for a flush and a commit.
        "broker_rebalance_timeout": REBALANCE_SECONDS,
        # Discovery asks for new metadata where they differ; this is for when it cannot.
        "consumer_metadata_max_age_ms": 60_000,
        "broker_commit_interval": 1.0,
        "consumer_auto_offset_reset": "earliest",
        # The consumer's own wait_empty is bounded; without this a stop abandons what is in flight.
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "topic_replication_factor": kafka.replication,
        "topic_disable_leader": True,
        "producer_acks": -1,
        "producer_max_request_size": 1024 * 1024,
    }
