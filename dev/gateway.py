"""A gateway as a local process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dev import paths
from dev.process import HOST, Service, free_port
from dev.worker import database_settings

_OWN = ("PERSISTER_", "GATEWAY_")


class Gateway(Service):
    """A gateway process; see `Service` for starting and stopping it.

    Attributes:
        url: `http://user:password@host:port`, with the database's credentials.
        database: Of the activations.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        credentials: str,
        before: Sequence[str] = (),
    ) -> None:
        """Describe the process; `start` starts it and waits until it listens.

        Args:
            folder: For its log; must exist.
            environment: See `settings`.
            credentials: `user:password` of the database, for `url`.
            before: A command that starts it, in front of its own.
        """
        port = free_port()
        self.url = f"http://{credentials}@{HOST}:{port}"
        self.database = environment["PERSISTER_DATABASE"]
        super().__init__(
            "gateway",
            [*before, sys.executable, "-m", "openwhisk.gateway"],
            port=port,
            folder=folder,
            ready=lambda: "listening on" in self.log(),
            env={**environment, "GATEWAY_LISTEN_PORT": str(port)},
        )


def settings(
    kafka_url: str, couchdb_url: str, prefix: str, database: str, **changed: object
) -> dict[str, str]:
    """The whole environment of a gateway; what a person has set for their own does not reach it.

    Args:
        kafka_url: As in `dev.services.Services`.
        couchdb_url: The same.
        prefix: Of the topics.
        database: Of the activations.
        changed: Further settings, by their variable's name in lower case without GATEWAY_.
    """
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(_OWN)},
        "PYTHONPATH": str(paths.PROJECT),
        "PERSISTER_KAFKA_URL": kafka_url,
        "PERSISTER_COUCHDB_URL": database_settings(couchdb_url)["couchdb_url"],
        "PERSISTER_TOPIC_PREFIX": prefix,
        "PERSISTER_DATABASE": database,
        **{f"GATEWAY_{name.upper()}": str(value) for name, value in changed.items()},
    }
