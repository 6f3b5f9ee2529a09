"""A persister worker as a local process."""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dev import paths
from dev.process import HOST, Service, free_port
from dev.services import Services

PREFIX = "PERSISTER_"


class Worker(Service):
    """A worker process; see `Service` for starting and stopping it.

    Attributes:
        url: `http://host:port` of its web pages.
    """

    def __init__(
        self, folder: Path, services: Services, *, application: object = "app", **settings: object
    ) -> None:
        """Describe the process; `start` starts it and waits until it is ready.

        Args:
            folder: For its log and its data; made if it is missing.
            services: Where Kafka and the database are.
            application: The module that Faust takes the application from.
            settings: Further settings, by their variable's name in lower case without PERSISTER_:
                `partitions=4`, `log_mode="in-record"`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        given = {
            "datadir": folder / "data",
            "web_port": port,
            "kafka_url": services.kafka_url,
            **database_settings(services.couchdb_url),
            **settings,
        }
        super().__init__(
            "worker",
            [sys.executable, "-m", "faust", "-A", str(application), "worker", "-l", "info"],
            port=port,
            folder=folder,
            ready=self._is_ready,
            env={**environment(given), "PYTHONPATH": str(paths.PROJECT)},
        )
        self.url = f"http://{HOST}:{port}"

    def status(self) -> dict[str, Any]:
        """The answer of `GET /status`.

        Raises:
            OSError: It does not answer.
            RuntimeError: It answers with an error.
        """
        status, body = self._get("/status")
        if status != http.HTTPStatus.OK:
            raise RuntimeError(f"GET {self.url}/status: {status}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _is_ready(self) -> bool:
        try:
            return self._get("/health/ready")[0] == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with these settings of the persister and no others.

    What a person has set for a worker of their own must not reach one of ours.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    return inherited | {PREFIX + name.upper(): str(value) for name, value in settings.items()}


def database_settings(url: str) -> dict[str, str]:
    """The database settings for a URL; its user and password become settings of their own."""
    parts = urlsplit(url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if parts.username is None:
        return {"couchdb_url": address}
    return {
        "couchdb_url": address,
        "couchdb_user": unquote(parts.username),
        "couchdb_password": unquote(parts.password or ""),
    }
