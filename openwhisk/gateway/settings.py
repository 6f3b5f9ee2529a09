"""Settings of the gateway: its own from `GATEWAY_*`, the others as the persister reads them."""

import os
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import NoDecode, SettingsConfigDict

from app import settings as persister
from app.kafka.clients import RECORD_OVERHEAD
from app.kafka.topics import TopicNames, TopicSpec
from app.process.logs import LogFormat
from app.settings import KafkaSettings, LogMode, SettingsError, explained
from app.settings.base import (
    Bounded,
    host,
    misspelt,
    not_of_kubernetes,
    separated,
    unreadable,
)
from models.roles import TopicRole
from openwhisk.gateway.fallback import Fallback

PREFIX = "GATEWAY_"
_MEBIBYTE = 1024 * 1024


class GatewaySettings(Bounded):
    """What only the gateway needs; an empty variable counts as not given."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    listen_host: Annotated[str, AfterValidator(host)] = "127.0.0.1"
    """Address to listen on. Credentials arrive unencrypted: outside loopback, put TLS in front."""

    listen_port: Annotated[int, BeforeValidator(not_of_kubernetes(5985))] = Field(
        5985, ge=0, le=65535
    )
    """Port to listen on."""

    names: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = frozenset()
    """Host names of the gateway, separated by commas. `/_gateway/…` answers only requests for one
    of these, `localhost` or an address; if any are given, so does every other path."""

    topic: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,249}$")
    """Topic that records are written to; by default `completed-others` or `activations`, depending
    on the log mode."""

    topic_partitions: int = Field(1, ge=1, le=1000)
    """Partitions of the topic if the gateway creates it; OpenWhisk's own topics have one."""

    topic_retention: float = Field(3600.0, ge=60)
    """Seconds that the topic keeps a record, if the gateway creates it.

    The default is OpenWhisk's own. The persister moves records on to its internal topic, which
    keeps them while the database is away, so this needs to outlast only an outage of the persister
    itself.
    """

    publish_deadline: float = Field(65.0, gt=0, le=3600)
    """Seconds that a write is held when it can't be stored; then its connection is closed.

    OpenWhisk gives up a record when its write is answered with any error. Its HTTP client waits
    60 s, and retries a batch three times if the connection breaks or times out.
    """

    fallback: Fallback = Fallback.COUCHDB
    """Where records go while Kafka is away: to CouchDB, or nowhere (`none`)."""

    fallback_after: float = Field(5.0, gt=0, le=600)
    """Seconds without an acknowledgement of a write after which Kafka counts as away."""

    recent_bytes: int = Field(32 * _MEBIBYTE, ge=0)
    """Bytes of documents kept for reads that come before the persister has stored them; 0: none."""

    recent_seconds: float = Field(60.0, gt=0, le=3600)
    """Maximum seconds that such a document is kept."""

    change_patience: float = Field(10.0, ge=0, le=60)
    """Seconds that a change of such a document waits for the persister to store it."""

    receive_deadline: float = Field(60.0, gt=0, le=3600)
    """Seconds that a client may take to send the body of a write. A body that passes through may
    take a second more for each 64 KiB that has arrived."""

    connections: int = Field(1000, ge=4, le=100_000)
    """Maximum client connections; fewer if the limit of open files has no room for them. A quarter
    as many may wait for a slot."""

    receive_pause: float = Field(5.0, gt=0, le=3600)
    """Seconds that a client may pause while it sends the body of a write."""

    bytes_in_flight: int = Field(128 * _MEBIBYTE, ge=_MEBIBYTE)
    """Maximum bytes of bodies in memory, shared fairly among addresses and users; the process needs
    about three times that."""

    max_body_bytes: int = Field(64 * _MEBIBYTE, ge=_MEBIBYTE)
    """Maximum size of a write's body, decompressed; a larger one is answered with 413."""

    max_document_bytes: int = Field(7_500_000, ge=1024, le=32 * _MEBIBYTE)
    """Documents above this size go to CouchDB, whose own limit (`max_document_size`) is 8,000,000.

    At most 32 MiB: parsing a larger one would keep other requests waiting.
    """

    credentials_ttl: float = Field(60.0, ge=0, le=3600)
    """Seconds that credentials stay valid after CouchDB accepted them."""

    credentials_grace: float = Field(86_400.0, ge=0)
    """Seconds that they stay valid while CouchDB is away."""

    credentials_busy_grace: float = Field(300.0, ge=0)
    """Seconds that they stay valid while CouchDB is up but too busy to check them."""

    authorized_users: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = frozenset()
    """Users, separated by commas, whose activations need no check by the database's validation
    functions. If any are given, all other users' writes pass through to CouchDB, which runs them.
    """

    connect_timeout: float = Field(5.0, gt=0, le=300)
    """Seconds to connect to CouchDB, and to wait for its verdict on credentials."""

    shutdown_deadline: float = Field(10.0, gt=0, le=600)
    """Seconds that requests in flight may take to finish when the gateway is told to stop."""


@dataclass(frozen=True)
class Configuration:
    """Everything that the gateway runs with."""

    gateway: GatewaySettings
    kafka: KafkaSettings
    log_mode: LogMode
    upstream: str
    """URL of CouchDB, without credentials."""
    ca_file: str | None
    database: str
    log_format: LogFormat = LogFormat.TEXT

    @property
    def topic(self) -> str:
        """Where an OpenWhisk with its own Kafka activation store would write."""
        return self.gateway.topic or TopicNames(self.kafka.topic_prefix).store(self.log_mode)

    @property
    def role(self) -> TopicRole:
        """The role in which the persister reads that topic."""
        return TopicRole.ACTIVATIONS if self.log_mode is LogMode.IN_RECORD else TopicRole.OTHERS

    @property
    def topic_spec(self) -> TopicSpec:
        """The topic as the gateway creates it when it is missing."""
        return TopicSpec(
            self.topic,
            self.gateway.topic_partitions,
            {
                "retention.ms": str(int(self.gateway.topic_retention * 1000)),
                "max.message.bytes": str(self.kafka.max_record_bytes + RECORD_OVERHEAD),
            },
        )


def variable_of(field: str) -> str:
    """The name of the variable from which a field of `GatewaySettings` is read."""
    return PREFIX + field.upper()


def load() -> Configuration:
    """Read the environment.

    Raises:
        SettingsError: everything that is wrong, one line per variable.
    """
    known = {variable_of(field) for field in GatewaySettings.model_fields}
    if problems := unreadable(os.environ, known):
        raise SettingsError("\n".join(problems))
    problems = misspelt(os.environ, known, PREFIX)
    try:
        gateway = GatewaySettings()
    except ValidationError as error:
        problems = [*explained(error, PREFIX), *problems]
    try:
        shared = persister.load()
    except SettingsError as error:
        problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))
    return Configuration(
        gateway=gateway,
        kafka=shared.kafka,
        log_mode=shared.routing.log_mode,
        upstream=shared.database.url,
        ca_file=str(shared.database.ca_file) if shared.database.ca_file else None,
        database=shared.database.name,
        log_format=shared.worker.log_format,
    )
