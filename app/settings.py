"""All settings, typed, read once from the environment (`PERSISTER_*`).

Grouped by what they are about; every group reads the same flat namespace, so the variable for
`settings.database.url` is `PERSISTER_COUCHDB_URL`. `load` turns what pydantic finds wrong into one
`SettingsError` that names each variable, its value (never a secret) and what is allowed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from app.security import SaslMechanism, SecurityProtocol, problems

PREFIX = "PERSISTER_"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")
"""What `Authorization: Bearer` can carry (RFC 6750), and long enough not to be guessed."""


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which and what to do."""


class LogMode(StrEnum):
    """Where OpenWhisk keeps activation logs, which decides the topics to read."""

    SEPARATE = "separate"
    """Logs are kept elsewhere: every `<prefix>completed.*` topic is read."""

    IN_RECORD = "in-record"
    """Logs are inside the record: only `<prefix>activations` is read."""


class StoreLevel(StrEnum):
    """Which activations are stored (OpenWhisk's `ActivationStoreLevel`)."""

    STORE_ALWAYS = "STORE_ALWAYS"
    STORE_FAILURES = "STORE_FAILURES"
    STORE_FAILURES_NOT_APPLICATION_ERRORS = "STORE_FAILURES_NOT_APPLICATION_ERRORS"


class Group(BaseSettings):
    """A group of settings; an empty variable counts as not given."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )


def _kafka_url(value: str) -> str:
    for part in value.split(";"):
        url = URL(part)
        if url.scheme not in ("kafka", "aiokafka") or not url.host or url.user or url.password:
            msg = "expected kafka://host:port, several separated by ';', without credentials"
            raise ValueError(msg)
    return value


def _http_url(value: str) -> str:
    url = URL(value)
    if url.scheme not in ("http", "https") or not url.host:
        msg = "expected http://host:port or https://host:port"
        raise ValueError(msg)
    if url.user or url.password:
        msg = "credentials go into PERSISTER_COUCHDB_USER and PERSISTER_COUCHDB_PASSWORD[_FILE]"
        raise ValueError(msg)
    return value.rstrip("/")


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return frozenset(part.strip() for part in value.split(",") if part.strip())
    return value


def _secret_from(file: Path | None, secret: SecretStr | None, variable: str) -> SecretStr | None:
    """The secret itself, or the first line of the file that holds it."""
    if file is None:
        return secret
    try:
        content = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"{variable}_FILE: cannot read {file}: {reason}") from error
    if not content or not content[0]:
        raise ValueError(f"{variable}_FILE: the first line of {file} is empty")
    return SecretStr(content[0])


def _either(file: Path | None, secret: SecretStr | None, variable: str) -> SecretStr | None:
    """As `_secret_from`, but not when both are given: nobody could tell which one counts."""
    if file and secret:
        raise ValueError(f"{variable} and {variable}_FILE are both given: unset one of them")
    return _secret_from(file, secret, variable)


class KafkaSettings(Group):
    """Broker, topics and the consumer group."""

    url: Annotated[str, AfterValidator(_kafka_url)] = Field(
        "kafka://127.0.0.1:9092", alias="PERSISTER_KAFKA_URL"
    )
    """Brokers, separated by `;`."""

    app_id: str = Field("activation-persister", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    """Consumer group, and the prefix of the guard's changelog topic."""

    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,150}$")
    """OpenWhisk's `whisk.kafka.topics.prefix`."""

    partitions: int = Field(8, ge=1, le=1000)
    """Of the internal topic; fixed once it exists."""

    replication: int = Field(1, ge=1, le=10)
    """Replication factor of the topics that the persister creates."""

    documents_retention: float = Field(7 * 86400.0, ge=3600)
    """Seconds that the internal topic keeps documents that are not stored yet."""

    dead_letters_retention: float = Field(30 * 86400.0, ge=3600)
    """Seconds that dead letters are kept."""

    retention_warning: float = Field(0.5, ge=0, le=1)
    """Share of a topic's retention that is left when there is a warning about unread records."""

    max_record_bytes: int = Field(16 * 1024 * 1024, ge=1024 * 1024, le=512 * 1024 * 1024)
    """Largest record, on the topics that are read and on the internal ones."""

    session_timeout: float = Field(10.0, ge=2, le=300)
    """Seconds after which the broker gives a silent worker's partitions to the others."""

    instance_id: str | None = None
    """Static membership (`group.instance.id`), where the host has a stable name."""

    discovery_interval: float = Field(2.0, gt=0, le=600)
    """Seconds between looks for new topics."""

    # Not named user, password and ca_file: pydantic would then read PERSISTER_PASSWORD, say, into
    # this group and into the database's.
    security_protocol: SecurityProtocol = Field(
        SecurityProtocol.PLAINTEXT, alias="PERSISTER_KAFKA_SECURITY_PROTOCOL"
    )
    sasl_mechanism: SaslMechanism | None = Field(None, alias="PERSISTER_KAFKA_SASL_MECHANISM")
    sasl_user: str | None = Field(None, alias="PERSISTER_KAFKA_USER")
    sasl_password: SecretStr | None = Field(None, alias="PERSISTER_KAFKA_PASSWORD")
    sasl_password_file: Path | None = Field(None, alias="PERSISTER_KAFKA_PASSWORD_FILE")

    tls_ca_file: Path | None = Field(None, alias="PERSISTER_KAFKA_CA_FILE")
    """Trusted instead of the system's authorities; PEM, as the next two."""

    tls_certificate_file: Path | None = Field(None, alias="PERSISTER_KAFKA_CERTIFICATE_FILE")
    tls_key_file: Path | None = Field(None, alias="PERSISTER_KAFKA_KEY_FILE")

    @model_validator(mode="after")
    def _security(self) -> Self:
        password = _either(self.sasl_password_file, self.sasl_password, "PERSISTER_KAFKA_PASSWORD")
        object.__setattr__(self, "sasl_password", password)
        if found := problems(self):
            raise ValueError("\n".join(found))
        return self


class RoutingSettings(Group):
    """What is read and what of it is stored."""

    log_mode: LogMode = LogMode.SEPARATE
    blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    non_blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    excluded_namespaces: Annotated[frozenset[str], NoDecode] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: dict[str, Any]) -> dict[str, Any]:
        key = "excluded_namespaces"
        return {**values, key: _comma_separated(values[key])} if key in values else values


class DatabaseSettings(Group):
    """The database and the pace of writing to it."""

    url: Annotated[str, AfterValidator(_http_url)] = Field(
        "http://127.0.0.1:5984", alias="PERSISTER_COUCHDB_URL"
    )
    user: str | None = Field(None, alias="PERSISTER_COUCHDB_USER")
    password: SecretStr | None = Field(None, alias="PERSISTER_COUCHDB_PASSWORD")
    password_file: Path | None = Field(None, alias="PERSISTER_COUCHDB_PASSWORD_FILE")
    ca_file: Path | None = Field(None, alias="PERSISTER_COUCHDB_CA_FILE")
    """Certificate authority for https, when it is not one of the system's."""

    name: str = Field(
        "whisk_local_activations", alias="PERSISTER_DATABASE", pattern=r"^[a-z][a-z0-9_$()+/-]*$"
    )
    create: bool = Field(True, alias="PERSISTER_DATABASE_CREATE")
    """Create the database and missing design documents."""

    request_timeout: float = Field(60.0, gt=0)
    """Seconds for one request."""

    request_documents: int = Field(1000, ge=1, le=10_000)
    """Most documents in one `_bulk_docs` request."""

    request_bytes: int = Field(8 * 1024 * 1024, ge=1024)
    """Most bytes in one `_bulk_docs` request (one larger document goes alone)."""

    requests_in_flight: int = Field(4, ge=1, le=64)
    """Most requests at a time, of one worker."""

    documents_per_second: float = Field(0.0, ge=0)
    """Hard limit of one worker; 0: none."""

    linger: float = Field(0.02, ge=0, le=10)
    """Seconds that a request waits for more documents before it is sent."""

    @model_validator(mode="after")
    def _password(self) -> Self:
        password = _secret_from(self.password_file, self.password, "PERSISTER_COUCHDB_PASSWORD")
        object.__setattr__(self, "password", password)
        if self.user and not self.password:
            msg = "PERSISTER_COUCHDB_USER needs PERSISTER_COUCHDB_PASSWORD or ..._PASSWORD_FILE"
            raise ValueError(msg)
        return self


class GuardSettings(Group):
    """How much the guard remembers, per partition of the internal topic."""

    records: int = Field(200_000, ge=0, alias="PERSISTER_GUARD_RECORDS")
    age: float = Field(86_400.0, gt=0, alias="PERSISTER_GUARD_AGE")
    """Seconds."""


class BreakerSettings(Group):
    """When a topic of which nearly everything is rejected is held, and for how long."""

    window: float = Field(60.0, gt=0, alias="PERSISTER_BREAKER_WINDOW")
    """Seconds over which records and rejected ones are counted, for each topic."""

    minimum: int = Field(1000, ge=0, alias="PERSISTER_BREAKER_MINIMUM")
    """Records that must have been seen in them before the ratio counts; 0: it never does."""

    ratio: float = Field(0.9, gt=0, le=1, alias="PERSISTER_BREAKER_RATIO")
    """Share of rejected records, from which on the topic is held."""

    consecutive: int = Field(5000, ge=0, alias="PERSISTER_BREAKER_CONSECUTIVE")
    """Rejected records in a row, in chunks without any other, that are enough; 0: none are."""

    cooldown: float = Field(300.0, gt=0, alias="PERSISTER_BREAKER_COOLDOWN")
    """Seconds that the topic is held, before one fetch decides whether it goes on."""


class WorkerSettings(Group):
    """The process itself."""

    datadir: Path = Path(".persister-data")
    web_host: str = "127.0.0.1"
    """Address that the web endpoint listens on."""

    web_port: int = Field(6066, ge=0, le=65535)
    web_token: SecretStr | None = None
    """What a request for anything but health must carry; without it they need loopback."""

    web_token_file: Path | None = None
    shutdown_deadline: float = Field(10.0, gt=0, le=600)
    """Seconds for in-flight work when the worker is told to stop."""

    in_flight_documents: int = Field(16_000, ge=1)
    """Documents taken from the internal topic and not settled yet, at which fetching pauses."""

    in_flight_bytes: int = Field(64 * 1024 * 1024, ge=1024)
    """Their bytes, at which fetching pauses."""

    @model_validator(mode="after")
    def _token(self) -> Self:
        token = _either(self.web_token_file, self.web_token, "PERSISTER_WEB_TOKEN")
        if token and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError(
                "PERSISTER_WEB_TOKEN[_FILE]: the token must be at least 16 letters, digits or "
                "-._~+/= (for example from: openssl rand -hex 32)"
            )
        object.__setattr__(self, "web_token", token)
        return self


@dataclass(frozen=True)
class Settings:
    """The groups, each read once."""

    kafka: KafkaSettings
    routing: RoutingSettings
    database: DatabaseSettings
    guard: GuardSettings
    breaker: BreakerSettings
    worker: WorkerSettings


def load() -> Settings:
    """Read all settings.

    Raises:
        SettingsError: with everything that an operator must mend, one line each.
    """
    groups: dict[str, Any] = {}
    problems: list[str] = []
    for name, group in get_type_hints(Settings).items():
        try:
            groups[name] = group()
        except ValidationError as error:
            problems += map(_explain, error.errors())
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**groups)


def _explain(problem: ErrorDetails) -> str:
    """One line: the variable, its value unless it may hold a secret, what is allowed."""
    text = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    name = str(problem["loc"][0])
    variable = name if name.startswith(PREFIX) else PREFIX + name.upper()
    secret = "PASSWORD" in variable or "TOKEN" in variable
    value = "" if secret else f"={_without_credentials(str(problem['input']))!r}"
    return f"{variable}{value}: {text}"


def _without_credentials(value: str) -> str:
    # Whatever stands before the last @: a password may hold any other character, even unencoded.
    _, at, host = value.rpartition("@")
    return f"***@{host}" if at else value
