"""Records that come again, with and without their logs, in any order and across restarts."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp

from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import INVOKER, Records, document_id, result
from tests.integration.support.waiting import outcomes, status

ODD: list[dict[str, Any]] = [
    {"instance": {"instanceType": "satellite", "n": 1}},
    {"invoker": None},
    {"instance": INVOKER, "isSystemError": "perhaps"},
    {"transid": 7, "kind": "new"},
]
"""Envelopes that no OpenWhisk of today writes."""


async def test_the_fuller_record_wins_and_nothing_is_written_twice(
    deployment: Deployment, kafka: Producer
) -> None:
    topic, internal = f"{deployment.prefix}completed0", deployment.documents
    await deployment.admin.create_topic(topic)
    records = Records(61)
    full = [records.one(logs=["a line"]) for _ in range(60)]
    bare = [record | {"logs": []} for record in full]
    running = await deployment.worker(partitions=2, session_timeout=3)

    async def revisions() -> Counter[tuple[str, bool]]:
        kept = await deployment.stored()
        assert kept.keys() == {document_id(record) for record in full}
        return Counter((one["_rev"].partition("-")[0], bool(one["logs"])) for one in kept.values())

    async def begin_again(*rewound: str, without_guard: bool = False) -> None:
        await asyncio.to_thread(running.terminate)
        if without_guard:
            await deployment.admin.delete_topics(f"{deployment.prefix}persister-guard-changelog")
        for name in rewound:
            await deployment.admin.rewind(deployment.group, name)
        await asyncio.to_thread(running.start)
        await deployment.drained(topic)

    odd = [result(record, **ODD[n % len(ODD)]) for n, record in enumerate(bare[:30])]
    await kafka.send_all(topic, odd)
    await kafka.send_all(topic, map(result, full[30:]))
    await deployment.drained(topic)
    assert await outcomes(running) == {("route", "routed", ""): 60, ("store", "stored", ""): 60}
    await begin_again(without_guard=True)
    await kafka.send_all(topic, map(result, [*full[:30], *bare[30:]]))
    await deployment.drained(topic)
    assert await outcomes(running) == {
        ("route", "routed", ""): 60,
        ("store", "duplicate", "completed by logs"): 30,
        ("store", "duplicate", "database"): 30,
    }
    assert running.log().count("came twice, once without its logs") == 1
    assert await revisions() == {("2", True): 30, ("1", True): 30}

    # Every record again, those without logs last, or first.
    await begin_again(topic, internal, without_guard=True)
    ended = await outcomes(running)
    assert ended["route", "routed", ""] == 120
    assert ended["store", "duplicate", "database"] >= 60
    assert {key[:2] for key in ended} == {("route", "routed"), ("store", "duplicate")}
    assert (await status(running))["database"]["documents_written"] == 0
    assert await revisions() == {("2", True): 30, ("1", True): 30}

    # What the guard remembers holds for a database that is gone.
    async with (
        aiohttp.ClientSession() as http,
        http.delete(f"{deployment.couchdb_url}/{deployment.database}") as gone,
    ):
        assert gone.status == 200
    await begin_again(internal)
    assert (await revisions()).total() == 60
