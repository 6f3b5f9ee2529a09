"""Brokers, topics, the consumer group, and the connection to them."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from yarl import URL

from app.settings.base import Group, either, host
from app.settings.security import SaslMechanism, SecurityProtocol, client_context, reason

DEFAULT_PORT = 9092

_EXPECTED_BROKERS = (
    "expected host:port or kafka://host:port, several separated by ',' or ';', an IPv6 address in "
    "brackets, without credentials"
)


class Compression(StrEnum):
    """Of record batches (`compression.type` of Kafka's own producer)."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


def broker_addresses(value: str) -> list[tuple[str, int]]:
    """Host and port of each broker in a list of addresses.

    Args:
        value: separated by `,` or `;`, each `host`, `host:port` or `kafka://host:port`; an IPv6
            address in brackets.

    Raises:
        ValueError: one of them is something else.
    """
    addresses = []
    for part in filter(None, (part.strip() for part in re.split("[,;]", value))):
        try:
            url = URL(part if "://" in part else f"kafka://{part}")
            port = url.port
        except ValueError:
            raise ValueError(_EXPECTED_BROKERS) from None
        wrong = url.scheme not in ("kafka", "aiokafka") or port == 0
        if wrong or not url.host or url.user or url.password or url.path.strip("/"):
            raise ValueError(_EXPECTED_BROKERS)
        addresses.append((host(url.host), port or DEFAULT_PORT))
    if not addresses:
        raise ValueError(_EXPECTED_BROKERS)
    return addresses


def host_and_port(host: str, port: int) -> str:
    """An address as clients take it: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _kafka_url(value: str) -> str:
    """The same brokers in one form: `kafka://host:port`, separated by `;`."""
    return ";".join(f"kafka://{host_and_port(*address)}" for address in broker_addresses(value))


class KafkaSettings(Group):
    """Brokers, topics and the consumer group."""

    url: Annotated[str, AfterValidator(_kafka_url)] = Field(
        "kafka://127.0.0.1:9092", alias="PERSISTER_KAFKA_URL"
    )
    """Brokers, separated by `,` or `;`. `kafka://` is optional; IPv6 addresses go in brackets."""

    app_id: str = Field("activation-persister", pattern=r"^[A-Za-z0-9._-]{1,200}$")
    """Consumer group, and the prefix of the guard's changelog topic."""

    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,150}$")
    """OpenWhisk's `whisk.kafka.topics.prefix`."""

    partitions: int = Field(8, ge=1, le=1000)
    """Partitions of the internal topic. Adding some later [takes a stop](maintenance.md#scale)."""

    replication: int = Field(1, ge=1, le=10)
    """Replication factor of the topics that the persister creates; use 3 in production."""

    documents_retention: float = Field(7 * 86400.0, ge=3600)
    """Seconds that the internal topic keeps documents."""

    dead_letters_retention: float = Field(30 * 86400.0, ge=3600)
    """Seconds that the dead-letter topic keeps letters."""

    retention_warning: float = Field(0.5, ge=0, le=1)
    """Remaining share of a topic's retention at which a warning about unread records is logged."""

    compression: Compression = Compression.SNAPPY
    """Compression of batches on the internal topic and the dead-letter topic; may be changed at any
    time."""

    max_record_bytes: int = Field(16 * 1024 * 1024, ge=1024 * 1024, le=512 * 1024 * 1024)
    """Maximum size of a record in bytes, on OpenWhisk's topics and the internal ones."""

    fetch_bytes: int = Field(32 * 1024 * 1024, ge=1024 * 1024, le=2**30)
    """Bytes fetched ahead of processing, compressed as in Kafka, for all topics together."""

    session_timeout: float = Field(10.0, ge=2, le=300)
    """Seconds after which the partitions of a silent worker are given to the others."""

    instance_id: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,249}$")
    """Static group membership (`group.instance.id`), for hosts with a stable name."""

    discovery_interval: float = Field(2.0, gt=0, le=600)
    """Seconds between checks for new topics."""

    security_protocol: SecurityProtocol = Field(
        SecurityProtocol.PLAINTEXT, alias="PERSISTER_KAFKA_SECURITY_PROTOCOL"
    )
    """Security protocol of the brokers' listener."""

    sasl_mechanism: SaslMechanism | None = Field(None, alias="PERSISTER_KAFKA_SASL_MECHANISM")
    """SASL mechanism, with a SASL protocol."""

    sasl_user: str | None = Field(None, alias="PERSISTER_KAFKA_USER")
    """User name to log in with, with a SASL protocol."""

    sasl_password: SecretStr | None = Field(None, alias="PERSISTER_KAFKA_PASSWORD")
    """Password of that user; not together with a password file."""

    sasl_password_file: Path | None = Field(None, alias="PERSISTER_KAFKA_PASSWORD_FILE")
    """File whose first line is the password; read again for each connection."""

    tls_ca_file: Path | None = Field(None, alias="PERSISTER_KAFKA_CA_FILE")
    """Certificate authorities (PEM) trusted instead of the system's."""

    tls_certificate_file: Path | None = Field(None, alias="PERSISTER_KAFKA_CERTIFICATE_FILE")
    """Client certificate (PEM) for mutual TLS; needs its key."""

    tls_key_file: Path | None = Field(None, alias="PERSISTER_KAFKA_KEY_FILE")
    """Key of the client certificate (PEM), without a passphrase."""

    @model_validator(mode="after")
    def _security(self) -> Self:
        password = either(self.sasl_password_file, self.sasl_password, "PERSISTER_KAFKA_PASSWORD")
        object.__setattr__(self, "sasl_password", password)
        if found := _problems(self):
            raise ValueError("\n".join(found))
        return self


def _problems(kafka: KafkaSettings) -> list[str]:
    """What an operator must change before a connection can be tried, one line each."""
    return [*_of_names(kafka), *_of_login(kafka), *_of_tls(kafka)]


def _of_names(kafka: KafkaSettings) -> Iterator[str]:
    """What the application makes must not look like what it reads."""
    read = f"{kafka.topic_prefix}completed"
    if kafka.app_id.startswith(read):
        yield (
            f"PERSISTER_APP_ID={kafka.app_id}: its topic {kafka.app_id}-guard-changelog would be "
            f"read as one of OpenWhisk's, which begin with {read} (PERSISTER_TOPIC_PREFIX="
            f"{kafka.topic_prefix}); choose another one"
        )


def _of_login(kafka: KafkaSettings) -> Iterator[str]:
    protocol = kafka.security_protocol
    given = {
        "PERSISTER_KAFKA_SASL_MECHANISM": kafka.sasl_mechanism,
        "PERSISTER_KAFKA_USER": kafka.sasl_user,
        "PERSISTER_KAFKA_PASSWORD[_FILE]": kafka.sasl_password,
    }
    for name, value in given.items():
        if protocol.sasl and not value:
            yield f"{name} is missing: PERSISTER_KAFKA_SECURITY_PROTOCOL={protocol} needs it"
        elif value and not protocol.sasl:
            yield _unused(name, protocol, "SASL_PLAINTEXT or SASL_SSL")


def _of_tls(kafka: KafkaSettings) -> Iterator[str]:
    protocol = kafka.security_protocol
    ca_file, certificate_file = kafka.tls_ca_file, kafka.tls_certificate_file
    key_file = kafka.tls_key_file
    if not protocol.tls:
        given = {
            "PERSISTER_KAFKA_CA_FILE": ca_file,
            "PERSISTER_KAFKA_CERTIFICATE_FILE": certificate_file,
            "PERSISTER_KAFKA_KEY_FILE": key_file,
        }
        yield from (
            _unused(name, protocol, "SSL or SASL_SSL") for name, value in given.items() if value
        )
        return
    try:
        client_context(ca_file)
    except OSError as error:
        yield f"PERSISTER_KAFKA_CA_FILE={ca_file} cannot be used: {error.strerror or error}"
    if bool(certificate_file) != bool(key_file):
        yield "PERSISTER_KAFKA_CERTIFICATE_FILE and PERSISTER_KAFKA_KEY_FILE need each other"
        return
    try:
        client_context(None, certificate_file, key_file)
    except OSError as error:
        yield (
            f"PERSISTER_KAFKA_CERTIFICATE_FILE={certificate_file} and PERSISTER_KAFKA_KEY_FILE="
            f"{key_file} cannot be used: {reason(error)}"
        )


def _unused(name: str, protocol: SecurityProtocol, wanted: str) -> str:
    return f"{name} is given, but PERSISTER_KAFKA_SECURITY_PROTOCOL is {protocol}, not {wanted}"
