"""The gateway as a process, between a client as OpenWhisk is one, a real Kafka and the database."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from app.routing import Store, route
from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.kafka import Kafka, kafka
from dev.process import HOST
from models.roles import TopicRole
from openwhisk.gateway.records import RULES
from tests.integration.support.database import stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.gateway import Gateway, settings
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.records import (
    INVOKER,
    Records,
    document,
    document_id,
    encode,
    result,
)
from tests.integration.support.waiting import drained, outcomes, until
from tests.openwhisk_client import BrokenError, OpenWhiskClient

StartGateway = Callable[..., Gateway]

FROZEN = [float(seconds) for seconds in os.environ.get("FROZEN_SECONDS", "6").split()]
"""How long Kafka stands still under load; the figures in docs/gateway.md are of 1 to 600."""


def now() -> int:
    """Epoch millis."""
    return int(time.time() * 1000)


@pytest.fixture
async def start(
    tmp_path: Path, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> AsyncIterator[StartGateway]:
    """Starts gateways; the database exists."""
    async with aiohttp.ClientSession() as http:
        await http.put(f"{couchdb_url}/{database}")
    started: list[Gateway] = []
    credentials = URL(couchdb_url).authority.rpartition("@")[0]

    def gateway(kafka: str = kafka_url, **changed: object) -> Gateway:
        environment = settings(kafka, couchdb_url, prefix, database, **changed)
        running = Gateway(tmp_path, environment, credentials)
        started.append(running)
        running.start()
        return running

    yield gateway
    for running in started:
        await asyncio.to_thread(running.stop)


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    """A Kafka that may be stopped."""
    with kafka() as running:
        yield running


@pytest.fixture
async def stoppable(broker: Kafka) -> AsyncIterator[Kafka]:
    """It runs again afterwards."""
    yield broker
    if not broker.running:
        await asyncio.to_thread(broker.start)


def ids_on(messages: list[Any]) -> list[str]:
    return [document_id(json.loads(message.value)["response"]) for message in messages]


async def test_a_record_that_is_acknowledged_too_costs_one_write(
    start: StartGateway,
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    gateway = start()
    await admin.create_topic(f"{prefix}completed0")
    running = await worker(partitions=4)
    records = Records(1).many(100)
    assert await gateway.bulk(records[:60]) == 201
    async with producer(kafka_url) as invoker:
        messages = [result(record, instance=INVOKER, isSystemError=False) for record in records]
        await invoker.send_all(f"{prefix}completed0", messages)
    for record in records[60:]:
        assert await gateway.put(record) == 201
    await drained(admin, prefix, f"{prefix}completed0", f"{prefix}completed-others")

    found = await stored(couchdb_url, database)
    assert {kept.pop("_rev")[:2] for kept in found.values()} == {"1-"}
    assert {key: kept | {"updated": 0} for key, kept in found.items()} == {
        document_id(record): document(record, 0) for record in records
    }
    ended = await outcomes(running)
    assert ended["store", "stored", ""] == 100
    assert ended["store", "duplicate", "guard"] == 100
    # Readers come the same way.
    view = f"/{database}/_design/whisks.v2.1.0/_view/activations"
    status, counted = await gateway.get(view)
    assert (status, counted["rows"][0]["value"]) == (200, 100)
    one = document_id(records[0])
    status, document_read = await gateway.get(f"/{database}/{one.replace('/', '%2F')}")
    assert (status, document_read["activationId"]) == (200, records[0]["activationId"])


async def test_a_deletion_in_a_body_waits_until_the_worker_has_stored_the_record(
    start: StartGateway, worker: StartWorker, couchdb_url: str, database: str
) -> None:
    """It names no revision: the database would take it, but for the document that is there then."""
    gateway = start(change_patience=60)
    record = Records(4).one()
    assert await gateway.put(record) == 201
    tombstone = encode({"_id": document_id(record), "_deleted": True})

    async def delete() -> int:
        url, headers = f"{gateway.url}/{database}", {"Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=tombstone, headers=headers) as answer,
        ):
            return answer.status

    deleting = asyncio.create_task(delete())
    await worker(partitions=1)
    assert await deleting == 409
    assert (await stored(couchdb_url, database)).keys() == {document_id(record)}


@pytest.mark.parametrize("changed", [{}, {"name": "other"}], ids=["the same", "changed"])
async def test_a_deleted_record_that_is_written_again_is_stored_again(
    start: StartGateway,
    worker: StartWorker,
    couchdb_url: str,
    database: str,
    changed: dict[str, str],
) -> None:
    gateway = start()
    await worker(partitions=1)
    client = OpenWhiskClient(gateway.url, database)
    (record,) = Records(1).many(1)
    fields = document(record, now())
    revision = (await client.put(fields)).json["rev"]
    assert (await client.delete(fields["_id"], revision)).status == 200
    answer = await client.put({**fields, **changed})
    assert answer.status == 201
    assert answer.json["rev"].startswith("3-")
    found = await stored(couchdb_url, database)
    assert found[fields["_id"]] == {**fields, **changed, "_rev": answer.json["rev"]}
    client.close()


async def test_the_topic_is_made_for_records_of_every_size(
    start: StartGateway, kafka_url: str, prefix: str
) -> None:
    gateway = start(topic_partitions=3)
    records = [Records(2).one(logs=["x" * size]) for size in (10, 2_000_000, 7_000_000)]
    assert [await gateway.put(record) for record in records] == [201, 201, 201]
    messages = await read_topic(kafka_url, f"{prefix}completed-others")
    assert sorted(len(m.value) > 1_000_000 for m in messages) == [False, True, True]


async def test_a_topic_that_is_deleted_is_made_again_and_what_waited_arrives(
    start: StartGateway, admin: Admin, kafka_url: str, prefix: str
) -> None:
    topic = f"{prefix}completed-others"
    gateway = start(fallback="none", topic_partitions=2)
    records = Records(3).many(6)
    assert await gateway.put(records[0]) == 201
    await admin.delete_topics(topic)
    assert [await gateway.put(record) for record in records[1:3]] == [201, 201]
    messages = await read_topic(kafka_url, topic)
    assert sorted(ids_on(messages)) == sorted(map(document_id, records[1:3]))

    # By an operator, who wants other settings and comes first.
    await admin.delete_topics(topic)
    waiting = asyncio.create_task(gateway.put(records[3]))
    status, health = await gateway.get("/_gateway/health")
    assert (status, health["kafka"]) == (503, False)
    await admin.create_topic(topic, 1)
    assert await waiting == 201
    assert [await gateway.put(record) for record in records[4:]] == [201, 201]
    assert ids_on(await read_topic(kafka_url, topic)) == [document_id(one) for one in records[3:]]


async def test_fifty_clients_at_once_lose_nothing(
    start: StartGateway, kafka_url: str, prefix: str
) -> None:
    gateway = start()
    source = Records(3)
    batches = [[source.many(10) for _ in range(4)] for _ in range(50)]

    async def client(mine: list[list[dict[str, Any]]]) -> None:
        async with aiohttp.ClientSession() as http:
            for batch in mine:
                assert await gateway.bulk(batch, http) == 201

    await asyncio.gather(*(client(mine) for mine in batches))
    expected = {document_id(r) for mine in batches for batch in mine for r in batch}
    found = ids_on(await read_topic(kafka_url, f"{prefix}completed-others"))
    assert len(found) == 2000
    assert set(found) == expected


async def test_kafka_stops_and_starts_again(
    start: StartGateway, stoppable: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    gateway = start(stoppable.url, fallback_after=1)
    client = OpenWhiskClient(gateway.url, database)
    source = Records(4)
    sent: list[str] = []

    async def write() -> None:
        batch = [document(record, now()) for record in source.many(5)]
        sent.extend(fields["_id"] for fields in batch)
        assert await client.store(batch) == [True] * 5

    async def writing_to_kafka() -> bool:
        await write()
        _, health = await gateway.get("/_gateway/health")
        return bool(health["writing_to"] == "kafka" and health["kafka"])

    await write()
    await asyncio.to_thread(stoppable.stop)
    await asyncio.gather(*(write() for _ in range(10)))
    status, health = await gateway.get("/_gateway/health")
    assert (status, health["writing_to"], health["kafka"]) == (200, "couchdb", False)
    await asyncio.to_thread(stoppable.start)
    await until(writing_to_kafka, "Kafka takes records again")
    client.close()
    found = set(ids_on(await read_topic(stoppable.url, f"{prefix}completed-others")))
    held = await stored(couchdb_url, database)
    assert found | held.keys() == set(sent)
    told = [line for line in gateway.log().splitlines() if "openwhisk.gateway.fallback" in line]
    assert [line.split()[1] for line in told] == ["ERROR", "WARNING"]


@pytest.mark.parametrize("fallback", ["couchdb", "none"])
@pytest.mark.parametrize("frozen", FROZEN)
async def test_kafka_stands_still_under_load(
    start: StartGateway,
    stoppable: Kafka,
    couchdb_url: str,
    prefix: str,
    database: str,
    fallback: str,
    frozen: float,
) -> None:
    gateway = start(stoppable.url, fallback=fallback, fallback_after=1)
    client = OpenWhiskClient(gateway.url, database)
    source = Records(9)
    sent: list[dict[str, Any]] = []
    batches: set[asyncio.Task[list[bool]]] = set()

    async def load(for_: float) -> None:
        ends = asyncio.get_running_loop().time() + for_
        while asyncio.get_running_loop().time() < ends:
            batch = [document(record, now()) for record in source.many(10)]
            sent.extend(batch)
            batches.add(asyncio.create_task(client.store(batch)))
            await asyncio.sleep(0.05)

    async def topic_is_made() -> bool:
        return "created topic" in gateway.log()

    await until(topic_is_made, "the gateway has its topic")
    await load(1)
    os.kill(stoppable.pid, signal.SIGSTOP)
    try:
        await load(frozen)
    finally:
        os.kill(stoppable.pid, signal.SIGCONT)
    await load(2)
    assert all(all(taken) for taken in await asyncio.gather(*batches))
    client.close()
    held = await stored(couchdb_url, database)
    assert bool(held) is (fallback == "couchdb")
    assert {fields.pop("_rev")[:2] for fields in held.values()} <= {"1-"}
    for message in await read_topic(stoppable.url, f"{prefix}completed-others"):
        routed = route(TopicRole.OTHERS, message.value, message.timestamp, RULES)
        assert isinstance(routed, Store)
        fields = json.loads(routed.document)
        assert held.setdefault(fields["_id"], fields) == fields  # a duplicate, or new
    assert held == {fields["_id"]: fields for fields in sent}


async def test_a_record_on_its_way_to_a_frozen_kafka_is_not_deleted_before_it_is_there(
    start: StartGateway, stoppable: Kafka, prefix: str, database: str
) -> None:
    gateway = start(stoppable.url, fallback_after=1, change_patience=1, recent_seconds=1)
    client = OpenWhiskClient(gateway.url, database)
    first, sent, *waiting = [document(record, now()) for record in Records(10).many(5)]
    assert (await client.put(first)).status == 201
    os.kill(stoppable.pid, signal.SIGSTOP)
    try:
        written = (await client.put(sent)).json
        directly = [(await client.put(fields)).json for fields in waiting]
        with pytest.raises(BrokenError):
            await client.delete(sent["_id"], written["rev"])
        for one in directly:
            assert (await client.delete(one["id"], one["rev"])).status == 200
    finally:
        os.kill(stoppable.pid, signal.SIGCONT)

    async def deleted() -> bool:
        try:
            return (await client.delete(sent["_id"], written["rev"])).status == 200
        except BrokenError:
            return False

    await until(deleted, "Kafka has it, and the persister has had its time")
    client.close()
    found = ids_on(await read_topic(stoppable.url, f"{prefix}completed-others"))
    assert found == [first["_id"], sent["_id"]]


async def test_it_starts_without_kafka(
    start: StartGateway, stoppable: Kafka, prefix: str, database: str
) -> None:
    await asyncio.to_thread(stoppable.stop)
    gateway = start(stoppable.url, publish_deadline=1, fallback="none")
    assert (await gateway.get(f"/{database}"))[0] == 200
    record = Records(5).one()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await gateway.put(record)
    await asyncio.to_thread(stoppable.start)

    async def written() -> bool:
        with contextlib.suppress(aiohttp.ServerDisconnectedError):
            return await gateway.put(record) == 201
        return False

    await until(written, "records are taken")
    async with connect_admin(stoppable.url) as topics:
        assert f"{prefix}completed-others" in await topics.topics(prefix)


async def test_sigterm_finishes_what_is_in_flight(
    start: StartGateway, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    gateway = start()
    record = Records(6).one()
    body = encode({"docs": [document(record, 0)]})
    url = URL(couchdb_url)
    token = aiohttp.encode_basic_auth(url.user or "", url.password or "")
    reader, writer = await asyncio.open_connection(HOST, gateway.port)
    writer.write(
        f"POST /{database}/_bulk_docs HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body[:10]
    )

    async def receiving() -> bool:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{gateway.url}/_gateway/metrics") as answer,
        ):
            return 'of="bodies"} 10.0' in await answer.text()

    await until(receiving, "the request is in flight")
    stopping = asyncio.create_task(asyncio.to_thread(gateway.terminate))

    async def told() -> bool:
        return "stopping" in gateway.log()

    await until(told, "it is stopping")
    writer.write(body[10:])
    assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
    assert await stopping == 0
    writer.close()
    assert ids_on(await read_topic(kafka_url, f"{prefix}completed-others")) == [document_id(record)]


@pytest.mark.parametrize(
    "setting, value, code", [("listen_port", "no", 2), ("listen_host", "192.0.2.1", 1)]
)
def test_what_is_wrong_is_said_in_one_line(
    kafka_url: str, couchdb_url: str, prefix: str, setting: str, value: str, code: int
) -> None:
    environment = settings(kafka_url, couchdb_url, prefix, "db", **{setting: value})
    ended = subprocess.run(
        [sys.executable, "-m", "openwhisk.gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == code
    lines = ended.stderr.splitlines()
    assert len(lines) == code
    assert f"GATEWAY_{setting.upper()}" in lines[-1]
