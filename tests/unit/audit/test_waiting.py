"""An audit of a database that does not answer."""

import pytest

from app.audit.auditing import open_database
from app.couchdb import DatabaseError, first_answer
from app.settings import load
from tests.fakes.silent import silent_server


async def test_it_is_said_that_the_database_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_answer, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(first_answer, "ANSWER_SECONDS", 0.1)
    said: list[str] = []
    async with silent_server() as url:
        monkeypatch.setenv("PERSISTER_COUCHDB_URL", url)
        with pytest.raises(DatabaseError, match="no answer in time"):
            async with open_database(load(), said.append):
                pass
    (line,) = said
    assert line.startswith(f"Waiting for the database at {url}/")
