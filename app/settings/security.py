"""Connection security: protocol, login, TLS."""

import logging
import ssl
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

logger = logging.getLogger(__name__)


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

    Certificates are renewed while processes run, some of them each hour, and whoever renews them
    writes other files in their place. So each connection uses what the files hold when it is made.

    Args:
        ca_file: PEM; trusted instead of the system's authorities.
        certificate_file: PEM; the client's own certificate and those up to its authority.
        key_file: PEM, without a pass phrase.

    Raises:
        OSError: a file cannot be read, or (`ssl.SSLError`) does not hold what it must.
    """
    return _RenewedContext(ca_file, certificate_file, key_file)


class _RenewedContext(ssl.SSLContext):
    """Makes each connection with a context of its files as they are.

    Itself it trusts nobody. `wrap_bio` is what asyncio and uvloop call for each connection.
    """

    def __new__(cls, *_files: Path | None) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, *files: Path | None) -> None:
        self._files = files
        self._current = _context(*files)
        self._used = self._seen = _stamps(files)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As of any context."""
        stamps = _stamps(self._files)
        if stamps != self._used:
            self._renew(stamps)
        return self._current.wrap_bio(*arguments, **options)

    def _renew(self, stamps: list[tuple[int, ...]]) -> None:
        """Read the files again; where that fails, all is as before, and the next one tries again.

        A key is written before or after its certificate, so for a moment they may not fit.
        """
        names = ", ".join(str(file) for file in self._files if file)
        try:
            self._current = _context(*self._files)
        except OSError as error:
            if stamps != self._seen:
                logger.warning(
                    "Cannot use %s (%s); what was read before is used on", names, reason(error)
                )
        else:
            self._used = stamps
            logger.info("The TLS certificates in %s have changed and were read again", names)
        self._seen = stamps


def _context(
    ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if certificate_file is not None:
        # Without a password OpenSSL asks for that of an encrypted key at the terminal, and waits.
        context.load_cert_chain(certificate_file, key_file, password="")
    return context


def _stamps(files: tuple[Path | None, ...]) -> list[tuple[int, ...]]:
    """What tells other contents of the files, wherever links lead by now."""
    return [_stamp(file) for file in files if file is not None]


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def reason(error: OSError) -> str:
    """Why a file of a certificate or a key cannot be used."""
    if isinstance(error, ssl.SSLError) and "PEM lib" in str(error):
        return (
            "one of them is not PEM, or the key has a passphrase: take it away with "
            "openssl pkey -in KEY -out KEY_WITHOUT"
        )
    return error.strerror or str(error)
