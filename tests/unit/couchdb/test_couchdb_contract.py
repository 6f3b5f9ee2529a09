"""The suite that the fake CouchDB has in common with a real one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.storing import (  # noqa: F401 - the suite
    TestDatabases,
    TestJson,
    TestOneDocument,
    TestReading,
    TestRights,
    TestValidation,
    TestWriting,
)
from tests.fakes.couchdb import FakeCouchDB, thrown


class FakeServer:
    """The fake as the suite wants it."""

    database = "activations"

    def __init__(self, fake: FakeCouchDB) -> None:
        self._fake = fake
        self.url = fake.url.replace("://", "://admin:secret@")

    async def member(self) -> str:
        self._fake.administrator = False
        return self.url

    async def stranger(self) -> str:
        self._fake.administrator = self._fake.member = False
        return self.url

    async def validate(self) -> None:
        self._fake.validate = judged


def judged(content: dict[str, Any]) -> Any:
    if content.get("breaks"):
        return {"error": "TypeError", "reason": "{[]}"}
    return thrown(content["throws"]) if "throws" in content else None


@pytest.fixture
async def couchdb() -> AsyncIterator[FakeServer]:
    fake = FakeCouchDB(user=("admin", "secret"))
    await fake.start()
    yield FakeServer(fake)
    await fake.stop()
