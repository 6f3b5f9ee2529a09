"""An authority of the tests' own, and certificates signed by it, as PEM files."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from dev.kafka import Tls
from dev.process import HOST


@dataclass(frozen=True)
class Certificates:
    """Files of one authority.

    Attributes:
        ca: The authority's certificate.
        server: A server's key and certificate in one file, for `127.0.0.1`.
        client: A client's certificate, whose common name is `persister`.
        client_key: Its key.
    """

    ca: Path
    server: Path
    client: Path
    client_key: Path

    @property
    def tls(self) -> Tls:
        """For a Kafka broker."""
        return Tls(self.server, self.ca)


def make_certificates(folder: Path) -> Certificates:
    """A new authority and its certificates."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(*(folder / name for name in ("ca", "server", "client", "client-key")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.ca))
    server = authority.issue_cert(HOST)
    made.server.write_bytes(_pkcs8(server.private_key_pem) + _chain(server))
    client = authority.issue_cert("persister@example.org", common_name="persister")
    made.client.write_bytes(_chain(client))
    client.private_key_pem.write_to_path(str(made.client_key))
    return made


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def _pkcs8(key: trustme.Blob) -> bytes:
    # Kafka reads no other form.
    loaded = load_pem_private_key(key.bytes(), None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
