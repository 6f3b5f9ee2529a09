"""A Kafka and a CouchDB: those of the environment, or local ones started on demand."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dev.couchdb import couchdb, install_couchdb
from dev.kafka import install_kafka, kafka

KAFKA_URL = "KAFKA_URL"
COUCHDB_URL = "COUCHDB_URL"


@dataclass(frozen=True)
class Services:
    """The addresses of both.

    Attributes:
        kafka_url: `kafka://host:port`.
        couchdb_url: `http://user:password@host:port`.
    """

    kafka_url: str
    couchdb_url: str

    def environment(self) -> dict[str, str]:
        """The environment variables through which a command finds them."""
        return {KAFKA_URL: self.kafka_url, COUCHDB_URL: self.couchdb_url}


def install() -> None:
    """Install what `services` would start, both at a time, as far as that is still to do.

    Raises:
        SetupError: Something cannot be installed.
    """
    needed = []
    if not os.environ.get(KAFKA_URL):
        needed.append(install_kafka)
    if not os.environ.get(COUCHDB_URL):
        needed.append(install_couchdb)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(step) for step in needed]:
            done.result()


@contextlib.contextmanager
def services(keep: Path | None = None) -> Iterator[Services]:
    """Use KAFKA_URL and COUCHDB_URL where set; install and start only what is missing.

    Args:
        keep: A folder where the data of what is started stay; temporary ones without it.

    Raises:
        SetupError: Something cannot be installed or does not start.
    """
    install()
    with contextlib.ExitStack() as stack:
        yield Services(
            os.environ.get(KAFKA_URL) or stack.enter_context(kafka(keep)).url,
            os.environ.get(COUCHDB_URL) or stack.enter_context(couchdb(keep)).url,
        )
