"""A worker goes on where one of an earlier version stopped."""

import json
from pathlib import Path

import aiohttp
import pytest

from dev.admin import Admin
from tests.integration.support import formats
from tests.integration.support.database import stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import read_topic
from tests.integration.support.waiting import drained, outcomes

VERSIONS = sorted((Path(__file__).parent / "data").glob("left-by-*.json"))
assert VERSIONS, "what earlier versions left is missing"


@pytest.fixture
async def left(
    request: pytest.FixtureRequest,
    kafka_url: str,
    couchdb_url: str,
    database: str,
    admin: Admin,
    prefix: str,
) -> formats.Left:
    recorded = formats.Left.load(request.param, prefix)
    await formats.restore(recorded, kafka_url, admin, f"{prefix}persister")
    async with aiohttp.ClientSession() as http:
        async with http.put(f"{couchdb_url}/{database}") as answer:
            assert answer.status == 201
        body = {"docs": list(recorded.stored.values())}
        async with http.post(f"{couchdb_url}/{database}/_bulk_docs", json=body) as answer:
            assert answer.status == 201
    return recorded


@pytest.mark.parametrize("left", VERSIONS, ids=lambda path: path.stem, indirect=True)
async def test_nothing_is_read_twice_and_nothing_forgotten(
    left: formats.Left,
    kafka_url: str,
    couchdb_url: str,
    database: str,
    admin: Admin,
    prefix: str,
    worker: StartWorker,
) -> None:
    topic = formats.INPUT.replace(formats.TOPIC_PREFIX, prefix)
    letters = f"{prefix}persister-dead-letters"
    before = len(await read_topic(kafka_url, letters))
    started = await worker(partitions=formats.PARTITIONS)
    await drained(admin, prefix, topic)

    found = await stored(couchdb_url, database)
    assert sorted(found) == sorted(set(left.sent))
    assert all(document["_rev"].startswith("1-") for document in found.values())
    assert {key: json.dumps(found[key]["logs"]) for key in left.stored} == {
        key: json.dumps(document["logs"]) for key, document in left.stored.items()
    }
    counted = await outcomes(started)
    assert counted["route", "routed", ""] == left.waiting(topic)
    assert counted["store", "stored", ""] == len(set(left.sent)) - len(left.stored)
    assert len(await read_topic(kafka_url, letters)) == before
