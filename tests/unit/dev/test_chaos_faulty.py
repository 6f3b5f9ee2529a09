"""The proxy does to a database what each behaviour says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from dev.chaos import answers
from dev.chaos.answers import Behaviour
from dev.chaos.faults.database import backwards, every_other
from dev.chaos.faulty import FaultyDatabase, faulty_database
from dev.process import HOST


class Database:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        ids = [document["_id"] for document in (await request.json())["docs"]]
        self.written += ids
        return web.json_response([{"id": id_, "rev": "1-a"} for id_ in ids], status=201)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[FaultyDatabase]:
    application = web.Application()
    application.router.add_post("/{path:.*}", database.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    async with faulty_database(f"http://{HOST}:{runner.addresses[0][1]}") as running:
        yield running
    await runner.cleanup()


Write = Callable[..., Awaitable[tuple[int, Any]]]


@pytest.fixture
async def write(proxy: FaultyDatabase) -> AsyncIterator[Write]:
    """Writes documents of these ids through the proxy: status and content of the answer."""
    async with aiohttp.ClientSession() as http:

        async def send(*ids: str) -> tuple[int, Any]:
            url = f"http://{HOST}:{proxy.port}/activations/_bulk_docs"
            documents = {"docs": [{"_id": id_} for id_ in ids]}
            async with http.post(url, json=documents) as answer:
                body = await answer.read()
                page = answer.content_type == "text/html"
                return answer.status, body.decode() if page else json.loads(body)

        yield send


def ids(entries: list[dict[str, str]]) -> list[str]:
    return [entry["id"] for entry in entries]


async def test_an_honest_one_passes_everything_on_and_counts_documents(
    proxy: FaultyDatabase, database: Database, write: Write
) -> None:
    status, entries = await write("a", "b")
    assert (status, ids(entries), database.written) == (201, ["a", "b"], ["a", "b"])
    assert proxy.documents == {"/activations/_bulk_docs": 2}
    assert proxy.misbehaved == 0


async def test_a_refusal_writes_nothing(
    proxy: FaultyDatabase, database: Database, write: Write
) -> None:
    with proxy.behaving(answers.refusing(503)):
        assert (await write("a"))[0] == 503
    assert database.written == []
    assert proxy.misbehaved == 1
    assert (await write("a"))[0] == 201


@pytest.mark.parametrize(
    "behaviour,status,answered",
    [
        (answers.accepting, 202, ["a", "b", "c"]),
        (answers.rewriting(every_other), 201, ["a", "c"]),
        (answers.rewriting(backwards), 201, ["c", "b", "a"]),
        (answers.slow(Random(1), 0.001), 201, ["a", "b", "c"]),  # noqa: S311 - not a secret
    ],
    ids=["202", "fewer", "reordered", "slow"],
)
async def test_what_is_answered_oddly_is_written(
    proxy: FaultyDatabase,
    database: Database,
    write: Write,
    behaviour: Behaviour,
    status: int,
    answered: list[str],
) -> None:
    with proxy.behaving(behaviour):
        found, entries = await write("a", "b", "c")
    assert (found, ids(entries)) == (status, answered)
    assert database.written == ["a", "b", "c"]


async def test_a_cut_comes_after_the_write(
    proxy: FaultyDatabase, database: Database, write: Write
) -> None:
    with proxy.behaving(answers.cutting), pytest.raises(aiohttp.ClientError):
        await write("a")
    assert set(database.written) == {"a"}


async def test_a_page_is_html_whether_it_was_written_or_not(
    proxy: FaultyDatabase, database: Database, write: Write
) -> None:
    with proxy.behaving(answers.page(Random(1), 502)):  # noqa: S311 - not a secret
        told = [await write(str(number)) for number in range(20)]
    assert {status for status, _ in told} == {502}
    assert all("<html>" in content for _, content in told)
    assert 0 < len(database.written) < 20


async def test_silence_lasts_until_its_end_and_answers_nothing(
    proxy: FaultyDatabase, write: Write
) -> None:
    over = asyncio.Event()
    with proxy.behaving(answers.silent(Random(1), over)):  # noqa: S311 - not a secret
        request = asyncio.ensure_future(write("a"))
        async with asyncio.timeout(10):
            while not proxy.misbehaved:  # noqa: ASYNC110 - another task's counter
                await asyncio.sleep(0)
        assert not request.done()
        over.set()
        with pytest.raises(aiohttp.ClientError):
            await request


async def test_while_it_is_down_connections_are_refused_and_then_it_is_where_it_was(
    proxy: FaultyDatabase, write: Write
) -> None:
    await proxy.down()
    with pytest.raises(aiohttp.ClientConnectorError):
        await write("a")
    await proxy.up()
    assert (await write("a"))[0] == 201
