"""Kafka stands still, for shorter and longer, under load: OpenWhisk loses nothing.

A second of OpenWhisk's is twenty milliseconds here: its client waits 1.2 s, the gateway 0.1 s for
Kafka before it turns to CouchDB.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.routing import Store, route
from models.roles import TopicRole
from openwhisk.gateway.fallback import Fallback
from openwhisk.gateway.records import RULES
from tests.openwhisk_client import BrokenError, OpenWhiskClient
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import (
    DATABASE,
    FakeDatabase,
    FakeProducer,
    Running,
    document,
)

SILENCE = 1.2
PATIENCE = 0.1
HELD = 1.3


class Load:
    """An OpenWhisk that stores batches all the while."""

    def __init__(self, gateway: Running) -> None:
        self.client = OpenWhiskClient(
            gateway.url.replace("//", "//whisk:secret@"), DATABASE, silence=SILENCE
        )
        self.sent: list[dict[str, Any]] = []
        self.stored: list[bool] = []
        self._batches: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            self._batches.add(asyncio.create_task(self._batch()))
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        await asyncio.gather(*self._batches)
        self.client.close()

    async def _batch(self) -> None:
        batch = [document() for _ in range(5)]
        self.sent += batch
        self.stored += await self.client.store(batch)


@pytest.fixture
async def kafka_goes_on(
    start: StartGateway,  # noqa: ARG001 - a gateway that stops waits for Kafka
    producer: FakeProducer,
) -> AsyncIterator[None]:
    yield
    producer.answering = True


def persisted(producer: FakeProducer, database: FakeDatabase) -> dict[str, dict[str, Any]]:
    """What is in the database once the persister has stored what is on Kafka, as often as it is."""
    for (_, value), timestamp in zip(producer.sent, producer.timestamps, strict=True):
        routed = route(TopicRole.OTHERS, value, timestamp, RULES)
        assert isinstance(routed, Store)
        fields = json.loads(routed.document)
        held = database.held.get(fields["_id"])
        if held is None:
            database.write(fields)
        else:
            assert {k: v for k, v in held.items() if k != "_rev"} == fields  # a duplicate
    return database.held


@pytest.mark.usefixtures("kafka_goes_on")
@pytest.mark.parametrize("fallback", Fallback)
@pytest.mark.parametrize("seconds", [0.02, 0.2, 1.4, 2.0])
async def test_nothing_is_lost_and_nothing_doubled(
    start: StartGateway,
    producer: FakeProducer,
    database: FakeDatabase,
    fallback: Fallback,
    seconds: float,
) -> None:
    gateway = await start(fallback=fallback.value, fallback_after=PATIENCE, publish_deadline=HELD)
    load = Load(gateway)
    await load.run(0.05)
    producer.answering = False
    await load.run(seconds)
    producer.answering = True
    await load.run(0.05)
    await load.end()
    assert load.stored == [True] * len(load.sent)
    expected = {fields["_id"] for fields in load.sent}
    on_kafka = {f"guest/{message['response']['activationId']}" for message in producer.messages()}
    assert expected == on_kafka | database.held.keys()
    if fallback is Fallback.NONE:
        assert not database.held
    held = persisted(producer, database)
    assert held.keys() == expected
    assert {fields["_rev"][:2] for fields in held.values()} == {"1-"}


@pytest.mark.usefixtures("kafka_goes_on")
async def test_couchdb_is_turned_to_only_after_a_while_and_left_again(
    start: StartGateway, producer: FakeProducer, database: FakeDatabase
) -> None:
    gateway = await start(fallback_after=PATIENCE, publish_deadline=HELD)
    client = Load(gateway).client
    producer.answering = False
    first, second = document(), document()
    assert await client.store([first]) == [True]
    assert await client.store([second]) == [True]
    assert list(database.held) == [first["_id"], second["_id"]]
    # The second was not kept waiting: nothing of it went to Kafka.
    assert len(producer.sent) == 1
    assert await health(gateway) == (200, False, "couchdb")
    producer.answering = True
    async with asyncio.timeout(10):
        while (await health(gateway))[2] == "couchdb":
            assert await client.store([document()]) == [True]
    on_kafka = len(producer.sent)
    assert await client.store([document()]) == [True]
    assert len(producer.sent) == on_kafka + 1
    client.close()


async def health(gateway: Running) -> tuple[int, bool, str]:
    async with gateway.client.get(f"{gateway.url}/_gateway/health") as answer:
        told = await answer.json()
        return answer.status, told["kafka"], told["writing_to"]


@pytest.mark.usefixtures("kafka_goes_on")
@pytest.mark.parametrize("bulk", [True, False])
async def test_when_neither_takes_records_the_connection_closes_unanswered(
    start: StartGateway,
    producer: FakeProducer,
    database: FakeDatabase,
    *,
    bulk: bool,
) -> None:
    gateway = await start(fallback_after=PATIENCE, publish_deadline=0.2)
    database.fail("insufficent_storage")
    producer.answering = False
    client = Load(gateway).client
    with pytest.raises(BrokenError):
        await (client.store([document()]) if bulk else client.put(document()))
    assert client.repeats > 0
    assert (await health(gateway))[0] == 200  # the database answers
    client.close()


@pytest.mark.usefixtures("kafka_goes_on")
async def test_a_record_is_safe_as_soon_as_either_takes_it_again(
    start: StartGateway, producer: FakeProducer, database: FakeDatabase
) -> None:
    gateway = await start(fallback_after=PATIENCE, publish_deadline=5)
    database.fail("internal_server_error")
    producer.answering = False
    client = OpenWhiskClient(gateway.url.replace("//", "//whisk:secret@"), DATABASE)
    storing = asyncio.create_task(client.store([document()]))
    await producer.arrived.wait()
    producer.answering = True
    assert await storing == [True]
    assert not database.held
    client.close()


class TestConflicts:
    """A record that is in the database already when the gateway writes it itself."""

    @pytest.fixture
    async def client(
        self, start: StartGateway, producer: FakeProducer
    ) -> AsyncIterator[OpenWhiskClient]:
        gateway = await start(fallback_after=PATIENCE, publish_deadline=HELD)
        producer.answering = False
        made = Load(gateway).client
        yield made
        made.close()
        producer.answering = True

    async def test_the_same_record_is_stored(
        self, client: OpenWhiskClient, database: FakeDatabase
    ) -> None:
        fields = document()
        database.write({**fields, "updated": 1})
        assert await client.store([fields, document()]) == [True, True]
        assert database.held[fields["_id"]]["updated"] == 1

    async def test_another_one_is_a_conflict(
        self, client: OpenWhiskClient, database: FakeDatabase
    ) -> None:
        fields = document()
        database.write({**fields, "name": "other"})
        assert await client.store([fields]) == [False]
        answer = await client.put(fields)
        assert (answer.status, answer.json["error"], answer.segments) == (409, "conflict", 1)

    @pytest.mark.parametrize("logs", [{}, {"logs": None}, {"logs": {}}])
    async def test_what_is_no_activation_is_a_conflict_of_its_own(
        self, client: OpenWhiskClient, database: FakeDatabase, logs: dict[str, Any]
    ) -> None:
        fields = document(logs=["a"])
        database.write({name: fields[name] for name in fields if name != "logs"} | logs)
        assert await client.store([fields, document()]) == [False, True]
        assert (await client.put(fields)).status == 409

    async def test_the_copy_with_logs_is_the_one_that_stays(
        self, client: OpenWhiskClient, database: FakeDatabase
    ) -> None:
        full, bare = document(logs=["a"]), document()
        database.write({**full, "logs": []})
        database.write({**bare, "logs": ["a"]})
        assert await client.store([full, bare]) == [True, True]
        assert database.held[full["_id"]]["logs"] == ["a"]
        assert database.held[bare["_id"]]["logs"] == ["a"]

    async def test_what_a_validation_function_forbids_is_not_tried_again(
        self, client: OpenWhiskClient, database: FakeDatabase
    ) -> None:
        database.fail("forbidden")
        assert await client.store([document()]) == [False]
        assert (await client.put(document())).status == 403
