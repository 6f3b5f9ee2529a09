"""A gateway process, and a client of it."""

from typing import Any

import aiohttp
from yarl import URL

from dev.gateway import Gateway as Process
from dev.gateway import settings
from tests.integration.support.records import document, document_id, encode

__all__ = ["Gateway", "settings"]

JSON = {"Content-Type": "application/json"}


class Gateway(Process):
    """A gateway, and a client of it with the database's credentials."""

    async def put(self, record: dict[str, Any]) -> int:
        """The status of writing one record."""
        path = document_id(record).replace("/", "%2F")
        url = URL(f"{self.url}/{self.database}/{path}", encoded=True)
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
        url = f"{self.url}/{self.database}/_bulk_docs"
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
