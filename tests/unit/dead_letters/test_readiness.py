"""A replay asks first whether the database takes documents."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.couchdb import first_answer
from app.dead_letters.destination import Destination
from app.dead_letters.errors import LettersError
from app.dead_letters.planning import Planned
from app.dead_letters.readiness import open_check
from app.dead_letters.sending import Sender
from app.settings import DatabaseSettings, KafkaSettings
from tests.fakes.couchdb import FakeCouchDB, fails, holds
from tests.fakes.silent import silent_server
from tests.unit.dead_letters.letters import letter


@pytest.fixture
async def couchdb() -> AsyncIterator[FakeCouchDB]:
    server = FakeCouchDB(databases={"activations": {}})
    await server.start()
    yield server
    await server.stop()


async def check(couchdb: FakeCouchDB, **changed: Any) -> None:
    settings = DatabaseSettings(**{"url": couchdb.url, "name": "activations", **changed})
    async with open_check(settings, print) as asked:
        await asked()


async def test_a_database_that_takes_documents(couchdb: FakeCouchDB) -> None:
    await check(couchdb)
    await check(couchdb)
    assert couchdb.bulk_requests == []


async def test_a_full_disk_is_told_in_couchdb_s_words(couchdb: FakeCouchDB) -> None:
    couchdb.disk_full = True
    words = "takes no documents: insufficent_storage: database_dir is too full"
    with pytest.raises(LettersError, match=words):
        await check(couchdb)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_so_is_an_answer_about_the_request(couchdb: FakeCouchDB, status: int) -> None:
    couchdb.script(fails(status, "maintenance", "until noon"))
    with pytest.raises(LettersError, match="maintenance: until noon"):
        await check(couchdb)


async def test_a_validation_function_that_refuses_all(couchdb: FakeCouchDB) -> None:
    couchdb.validate = lambda _: "read-only"
    with pytest.raises(LettersError, match="forbidden: read-only"):
        await check(couchdb)


async def test_a_database_that_does_not_answer(couchdb: FakeCouchDB) -> None:
    await couchdb.stop()
    with pytest.raises(LettersError, match="no connection"):
        await check(couchdb)


async def test_it_is_said_that_the_first_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(first_answer, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(first_answer, "ANSWER_SECONDS", 0.1)
    said: list[str] = []
    async with silent_server() as url:
        settings = DatabaseSettings(url=url, name="activations")
        async with open_check(settings, said.append) as check_:
            with pytest.raises(LettersError, match="no answer"):
                await check_()
    assert said == [f"Waiting for the database at {url}/activations to answer."]


async def test_it_is_also_said_and_given_up_where_only_writes_hang(
    couchdb: FakeCouchDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_answer, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(first_answer, "ANSWER_SECONDS", 0.1)
    couchdb.script(holds(over := asyncio.Event()))
    said: list[str] = []
    settings = DatabaseSettings(url=couchdb.url, name="activations")
    async with open_check(settings, said.append) as check_:
        with pytest.raises(LettersError, match="no answer"):
            await check_()
    over.set()
    assert said == [f"Waiting for the database at {couchdb.url}/activations to answer."]


async def test_a_proxy_that_lets_only_the_database_s_own_paths_through(
    couchdb: FakeCouchDB,
) -> None:
    couchdb.welcomes = False
    await check(couchdb)


async def test_one_that_is_missing_is_trouble_where_no_worker_creates_it(
    couchdb: FakeCouchDB,
) -> None:
    await check(couchdb, name="other")
    with pytest.raises(LettersError, match="does not exist"):
        await check(couchdb, name="other", create=False)


async def test_nothing_is_claimed_or_sent_while_it_fails() -> None:
    async def fails_() -> None:
        raise LettersError("not now")

    untouched: Any = None  # has no methods: any use of it is an error
    sender = Sender(
        *(untouched, untouched, untouched, fails_), admin=untouched, settings=KafkaSettings()
    )
    assert await sender.flush() == 0
    await sender.add(Planned(letter(), Destination("completed0", 0)))
    with pytest.raises(LettersError, match="not now"):
        await sender.flush()
