"""The gateway as a process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from dev import paths
from dev.process import HOST, Service, free_port
from dev.worker import database_settings
from tests.integration.support.records import document, document_id, encode

JSON = {"Content-Type": "application/json"}


class Gateway(Service):
    """`python -m openwhisk.gateway`, and a client of it with the database's credentials."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        credentials: str,
        before: Sequence[str] = (),
    ) -> None:
        port = free_port()
        self._address = f"http://{HOST}:{port}"
        self.url = f"http://{credentials}@{HOST}:{port}"
        super().__init__(
            "gateway",
            [*before, sys.executable, "-m", "openwhisk.gateway"],
            port=port,
            folder=folder,
            ready=lambda: "listening on" in self.log(),
            env={**environment, "GATEWAY_LISTEN_PORT": str(port)},
        )
        self._database = environment["PERSISTER_DATABASE"]

    async def put(self, record: dict[str, Any]) -> int:
        """The status of writing one record."""
        path = document_id(record).replace("/", "%2F")
        url = URL(f"{self.url}/{self._database}/{path}", encoded=True)
        async with (
            aiohttp.ClientSession() as http,
            http.put(url, data=encode(document(record, 0)), headers=JSON) as answer,
        ):
            await answer.read()
            return answer.status

    async def bulk(
        self, records: list[dict[str, Any]], http: aiohttp.ClientSession | None = None
    ) -> int:
        """The status of writing many, after checking that each was answered."""
        body = encode({"docs": [document(record, 0) for record in records]})
        url = f"{self.url}/{self._database}/_bulk_docs"
        session = http or aiohttp.ClientSession()
        try:
            async with session.post(url, data=body, headers=JSON) as answer:
                told = await answer.json()
                if answer.status == 201:
                    assert [entry["id"] for entry in told] == [document_id(r) for r in records]
                    assert all(entry["ok"] for entry in told)
                return answer.status
        finally:
            if http is None:
                await session.close()

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            return answer.status, await answer.json(content_type=None)


def settings(
    kafka_url: str, couchdb_url: str, prefix: str, database: str, **changed: object
) -> dict[str, str]:
    """The whole environment of a gateway."""
    own = ("PERSISTER_", "GATEWAY_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(own)},
        "PYTHONPATH": str(paths.PROJECT),
        "PERSISTER_KAFKA_URL": kafka_url,
        "PERSISTER_COUCHDB_URL": database_settings(couchdb_url)["couchdb_url"],
        "PERSISTER_TOPIC_PREFIX": prefix,
        "PERSISTER_DATABASE": database,
        **{f"GATEWAY_{name.upper()}": str(value) for name, value in changed.items()},
    }
