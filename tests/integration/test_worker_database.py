"""A database that takes nothing for a while: routing goes on, memory stays bounded."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from dev.couchdb import CouchDB, couchdb
from dev.couchdb.server import PASSWORD, USER
from tests.integration.support.database import assert_holds
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.proxy import Proxy, proxy
from tests.integration.support.records import Records
from tests.integration.support.waiting import outcomes, status, until

IN_FLIGHT_BYTES = 1_000_000
LARGEST_CHUNK = 1_100_000
"""Bytes; a fetch brings 1 MiB of a partition."""

Outage = Callable[[CouchDB, Proxy], contextlib.AbstractContextManager[None]]


@pytest.fixture
def own_couchdb() -> Iterator[CouchDB]:
    """A database that a test may stop."""
    with couchdb() as running:
        yield running


@pytest.fixture
async def in_front(own_couchdb: CouchDB) -> AsyncIterator[Proxy]:
    async with proxy(f"http://127.0.0.1:{own_couchdb.port}") as running:
        running.url = running.url.replace("//", f"//{USER}:{PASSWORD}@")
        yield running


@contextlib.contextmanager
def unavailable(_database: CouchDB, in_front: Proxy) -> Iterator[None]:
    in_front.refusing = 503
    yield
    assert in_front.refused > 1, "it was tried again"
    in_front.refusing = None


@contextlib.contextmanager
def stopped(database: CouchDB, _in_front: Proxy) -> Iterator[None]:
    database.stop()
    yield
    database.start()


@pytest.mark.parametrize("outage", [unavailable, stopped])
async def test_while_the_database_is_down_routing_goes_on_and_all_is_stored_afterwards(
    deployment: Deployment, kafka: Producer, outage: Outage, own_couchdb: CouchDB, in_front: Proxy
) -> None:
    topic = f"{deployment.prefix}completed-others"
    internal = deployment.documents
    await deployment.admin.create_topic(topic)
    address = in_front.url if outage is unavailable else own_couchdb.url
    running = await deployment.worker(
        partitions=4, session_timeout=3, couchdb_url=address, in_flight_bytes=IN_FLIGHT_BYTES
    )
    records = Records(31)
    await kafka.records(topic, records.many(100))
    await deployment.drained(topic)

    with outage(own_couchdb, in_front):
        large = [records.one(logs=["x" * 6_000]) for _ in range(1000)]
        await kafka.records(topic, large)

        async def routed() -> bool:
            return (await deployment.committed(topic)).get(0) == 1100

        await until(routed, "everything is routed")
        assert sum((await deployment.admin.end_offsets(internal)).values()) == 1100

        async def says_so() -> bool:
            shown = await status(running)
            return bool(shown["database"]["down"] and shown["in_flight"]["bytes"])

        await until(says_so, "the worker says that the database is down")

        async def lags() -> bool:
            shown = await status(running)
            return (shown["topics"][topic]["0"]["lag"], shown["lag"]) == (0, 1000)

        await until(lags, "the lag is that of the internal topic")
        shown = await status(running)
        assert shown["in_flight"]["bytes"] < IN_FLIGHT_BYTES + LARGEST_CHUNK
        assert shown["database"]["last_error"]

        async def not_ready() -> bool:
            return "the database takes no documents" in ((await status(running))["not_ready"] or "")

        await until(not_ready, "the worker says that it stores nothing")

    await deployment.drained(topic)
    await assert_holds(own_couchdb.url, deployment.database, kafka.expected)
    shown = await status(running)
    assert not shown["database"]["down"]
    assert shown["in_flight"] == {"documents": 0, "bytes": 0}
    ended = await outcomes(running)
    assert ended == {("route", "routed", ""): 1100, ("store", "stored", ""): 1100}


async def test_a_worker_stops_in_time_while_the_database_is_down_and_the_next_one_stores(
    deployment: Deployment, kafka: Producer, own_couchdb: CouchDB
) -> None:
    topic = await deployment.topic("completed0")
    settings = {
        "partitions": 4,
        "session_timeout": 3,
        "couchdb_url": own_couchdb.url,
        "shutdown_deadline": 3,
    }
    first = await deployment.worker(**settings)
    await kafka.records(topic, Records(32).many(100))
    await deployment.drained(topic)
    own_couchdb.stop()
    await kafka.records(topic, Records(33).many(500))

    async def holds_documents() -> bool:
        return bool((await status(first))["in_flight"]["documents"])

    await until(holds_documents, "documents wait for the database")
    assert await asyncio.to_thread(first.terminate, timeout=7) == 0

    own_couchdb.start()
    second = await deployment.worker(**settings)
    await deployment.drained(topic)
    await assert_holds(own_couchdb.url, deployment.database, kafka.expected)
    assert (await outcomes(second))["store", "stored", ""] == 500


async def test_a_worker_that_is_stopped_under_load_finishes_what_it_has_begun(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    quick = {"partitions": 4, "session_timeout": 3}
    await kafka.records(topic, Records(34).many(2000))
    first = await deployment.worker(**quick, documents_per_second=400, in_flight_documents=400)

    async def in_the_middle() -> bool:
        return (await outcomes(first))["store", "stored", ""] > 0

    await until(in_the_middle, "some are stored")
    assert await asyncio.to_thread(first.terminate, timeout=15) == 0
    done = sum((await deployment.committed(deployment.documents)).values())
    assert 0 < done < 2000

    second = await deployment.worker(**quick)
    await deployment.drained(topic)
    await deployment.holds_what_was_sent()
    ended = await outcomes(second)
    assert {line: n for line, n in ended.items() if line[0] == "store"} == {
        ("store", "stored", ""): 2000 - done
    }


async def test_a_worker_at_a_low_rate_is_ready_and_each_start_gets_further(
    deployment: Deployment, kafka: Producer
) -> None:
    """A chunk may take minutes then, and no worker may live as long."""
    topic = await deployment.topic("completed0")
    quick = {"partitions": 2, "session_timeout": 3, "shutdown_deadline": 1}
    await kafka.records(topic, Records(35).many(1000))
    done = [0]
    for _ in range(3):
        running = await deployment.worker(**quick, documents_per_second=10)

        async def gets_further() -> bool:
            return sum((await deployment.committed(deployment.documents)).values()) > done[-1]

        await until(gets_further, "more is stored, and committed")
        shown = await status(running)
        assert shown["not_ready"] is None
        assert await asyncio.to_thread(running.terminate, timeout=15) == 0
        done.append(sum((await deployment.committed(deployment.documents)).values()))
    assert done == sorted(set(done))
    assert done[-1] < 1000

    await deployment.worker(**quick)
    await deployment.drained(topic)
    await deployment.holds_what_was_sent()
