"""Connection security: protocol, login, TLS."""

import ssl
from enum import StrEnum
from pathlib import Path


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
