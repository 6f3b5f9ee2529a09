"""The suite that proves the fake CouchDB of the unit tests."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.contract.storing import (  # noqa: F401 - the suite
    VALIDATION,
    TestDatabases,
    TestJson,
    TestOneDocument,
    TestReading,
    TestRights,
    TestValidation,
    TestWriting,
)

PASSWORD = "password"


class RealCouchDB:
    """A server as the suite wants it."""

    def __init__(self, http: aiohttp.ClientSession, url: str, database: str) -> None:
        self._http = http
        self.url = url
        self.database = database
        self._user = database.replace("-", "_")

    async def _put(self, path: str, content: object) -> None:
        url = f"{self.url}/{path}"
        async with self._http.put(url, data=json.dumps(content)) as answer:
            assert answer.status in {200, 201}, f"{path}: {await answer.text()}"

    async def _as_user(self, *, member: bool) -> str:
        user = {"name": self._user, "password": PASSWORD, "roles": [], "type": "user"}
        await self._put(f"_users/org.couchdb.user:{self._user}", user)
        members = {"names": [self._user] if member else [], "roles": ["_admin"]}
        await self._put(f"{self.database}/_security", {"members": members})
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{self._user}:{PASSWORD}@{rest.rpartition('@')[2]}"

    async def member(self) -> str:
        return await self._as_user(member=True)

    async def stranger(self) -> str:
        return await self._as_user(member=False)

    async def validate(self) -> None:
        await self._put(f"{self.database}/_design/judge", {"validate_doc_update": VALIDATION})

    async def forget(self) -> None:
        """Delete the user."""
        url = f"{self.url}/_users/org.couchdb.user:{self._user}"
        async with self._http.get(url) as answer:
            if answer.status != 200:
                return
            rev = (await answer.json(content_type=None))["_rev"]
        async with self._http.delete(url, params={"rev": rev}) as answer:
            assert answer.status == 200


@pytest.fixture
async def couchdb(couchdb_url: str, database: str) -> AsyncIterator[RealCouchDB]:
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        made = RealCouchDB(http, couchdb_url, database)
        yield made
        await made.forget()
