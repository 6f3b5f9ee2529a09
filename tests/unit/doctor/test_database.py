"""What doctor and setup say of a database, and what setup creates."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.couchdb import first_answer
from app.doctor import Finding, State, worst
from app.doctor.database import examine_database
from app.doctor.setting_up import set_up_database
from app.settings import DatabaseSettings
from tests.fakes.couchdb import FakeCouchDB
from tests.fakes.silent import silent_server

WHO = "run `persister setup` with the credentials of an administrator of the database"


@pytest.fixture
async def couchdb() -> AsyncIterator[FakeCouchDB]:
    server = FakeCouchDB(databases={"activations": {}})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(couchdb: FakeCouchDB) -> DatabaseSettings:
    return DatabaseSettings(url=couchdb.url, name="activations")


async def set_up(settings: DatabaseSettings, *, check: bool = False) -> list[Finding]:
    return [finding async for finding in set_up_database(settings, check=check, say=print)]


def design_documents(findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if finding.what == "design documents"]
    return found


async def test_setup_that_may_not_create_design_documents_has_failed(
    couchdb: FakeCouchDB, settings: DatabaseSettings
) -> None:
    couchdb.administrator = False
    for _ in range(2):
        found = design_documents(await set_up(settings))
        assert found.state is State.WRONG
        assert WHO in found.detail
    found = design_documents(await set_up(settings, check=True))
    assert (found.state, WHO in found.detail) == (State.WRONG, True)

    couchdb.administrator = True
    assert design_documents(await set_up(settings, check=True)).state is State.WRONG
    assert worst(await set_up(settings)) is State.OK
    assert worst(await set_up(settings, check=True)) is State.OK


async def test_a_database_that_no_worker_writes_to_is_wrong(
    couchdb: FakeCouchDB, settings: DatabaseSettings
) -> None:
    couchdb.partitioned.add("activations")
    (found,) = [one async for one in examine_database(settings, say=print)]
    assert found.state is State.WRONG
    assert "is partitioned" in found.detail
    assert "make a database without partitions" in found.detail


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("administrator", [True, False])
async def test_doctor_says_who_creates_missing_design_documents(
    couchdb: FakeCouchDB, settings: DatabaseSettings, *, create: bool, administrator: bool
) -> None:
    couchdb.administrator = administrator
    asked = settings.model_copy(update={"create": create})
    found = design_documents([finding async for finding in examine_database(asked, print)])
    if create and administrator:
        assert (found.state, WHO in found.detail) == (State.WARNING, False)
        assert "the first worker creates them" in found.detail
    else:
        assert (found.state, WHO in found.detail) == (State.WRONG, True)


@pytest.mark.parametrize("check", [True, False])
async def test_setup_says_that_it_waits_for_a_database_and_gives_up_before_long(
    monkeypatch: pytest.MonkeyPatch, *, check: bool
) -> None:
    monkeypatch.setattr(first_answer, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(first_answer, "ANSWER_SECONDS", 0.1)
    said: list[str] = []
    async with silent_server() as url:
        settings = DatabaseSettings(url=url, name="activations")
        found = [one async for one in set_up_database(settings, check=check, say=said.append)]
    assert [one.state for one in found] == [State.WRONG]
    assert "no answer in time" in found[0].detail
    assert said == [f"Waiting for the database at {url}/activations to answer."]


class HangingWrites(FakeCouchDB):
    """Answers no `PUT` before it is stopped."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            await asyncio.get_running_loop().create_future()
        return await super().answer(request)


async def test_setup_says_so_too_where_only_writes_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_answer, "SILENCE_SECONDS", 0)
    monkeypatch.setattr(first_answer, "ANSWER_SECONDS", 0.1)
    said: list[str] = []
    server = HangingWrites()
    await server.start()
    settings = DatabaseSettings(url=server.url, name="activations")
    found = [one async for one in set_up_database(settings, check=False, say=said.append)]
    await server.stop()
    assert [one.state for one in found] == [State.WRONG]
    assert "no answer in time" in found[0].detail
    assert said == [f"Waiting for the database at {server.url}/activations to answer."]


async def test_behind_a_proxy_that_lets_only_the_database_s_own_paths_through_all_is_well(
    couchdb: FakeCouchDB, settings: DatabaseSettings
) -> None:
    couchdb.welcomes = False
    found = await set_up(settings)
    assert worst(found) is State.OK
    assert "CouchDB of unknown version, 4 documents" in found[0].detail
