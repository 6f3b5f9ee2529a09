"""How Kafka is spoken to (protocol, login, TLS), and which settings of it do not go together."""

import ssl
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.settings import KafkaSettings


class SecurityProtocol(StrEnum):
    """Of the broker's listener (`security.protocol` of Kafka's own clients)."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self in {self.SSL, self.SASL_SSL}

    @property
    def sasl(self) -> bool:
        """Whether the client logs in with a name and a password."""
        return self in {self.SASL_PLAINTEXT, self.SASL_SSL}


class SaslMechanism(StrEnum):
    """How the password is proved (`sasl.mechanism` of Kafka's own clients)."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


def client_context(
    ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """A TLS context that checks the server's certificate and its host name.

    Args:
        ca_file: PEM; trusted instead of the system's authorities.
        certificate_file: PEM; the client's own certificate and those up to its authority.
        key_file: PEM, without a pass phrase.

    Raises:
        OSError: a file cannot be read, or (`ssl.SSLError`) does not hold what it must.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if certificate_file is not None:
        # Without a password OpenSSL asks for that of an encrypted key at the terminal, and waits.
        context.load_cert_chain(certificate_file, key_file, password="")
    return context


def problems(kafka: "KafkaSettings") -> list[str]:
    """What an operator must change before a connection can be tried, one line each."""
    return [*_of_login(kafka), *_of_tls(kafka)]


def _of_login(kafka: "KafkaSettings") -> Iterator[str]:
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


def _of_tls(kafka: "KafkaSettings") -> Iterator[str]:
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
            f"{key_file} cannot be used: {error.strerror or error}"
        )


def _unused(name: str, protocol: SecurityProtocol, wanted: str) -> str:
    return f"{name} is given, but PERSISTER_KAFKA_SECURITY_PROTOCOL is {protocol}, not {wanted}"
