"""`persister audit` finds what is missing, and nothing else."""

import json
import time
from typing import Any

import aiohttp

from dev.process import free_port
from tests.integration.support.commands import Commands
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import INVOKER, Records, encode, result
from tests.integration.support.waiting import until

NEVER_ARRIVED = "f" * 32
COMPLETION = {"transid": ["t", 1], "isSystemError": False, "instance": INVOKER}


async def audited(commands: Commands, *options: str) -> tuple[int, dict[str, Any]]:
    ran = await commands.run("audit", "--json", *options)
    assert ran.code in {0, 1}, ran.errors
    return ran.code, json.loads(ran.output)


async def put(couchdb_url: str, database: str, document: dict[str, Any]) -> None:
    url = f"{couchdb_url}/{database}/_bulk_docs"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"docs": [document]}) as answer,
    ):
        (entry,) = await answer.json(content_type=None)
        assert entry.get("ok"), entry


async def test_exactly_what_is_wrong_is_found_and_repaired(
    deployment: Deployment, kafka: Producer, commands: Commands
) -> None:
    completed, others = await deployment.topics("completed0", "completed-others")
    await deployment.worker(partitions=4, session_timeout=3)
    records = Records(21).many(300)
    await kafka.records(others, records[:200])
    await kafka.records(completed, records[150:])  # some on both topics
    await kafka.send(completed, b"junk")
    arrived = records[0]["activationId"]
    await kafka.send(completed, encode(COMPLETION | {"activationId": arrived}))
    await deployment.drained(completed, others)
    code, report = await audited(commands)
    assert (code, report["ok"]) == (0, True), report
    assert report["totals"] == {"present": 350, "set_aside": 1, "acknowledgement": 1}

    minutes_ago = int(time.time() * 1000) - 120_000
    lone = encode(COMPLETION | {"activationId": NEVER_ARRIVED})
    await kafka.send(completed, lone, timestamp=minutes_ago)
    await deployment.drained(completed)
    documents = await deployment.stored()
    deleted, altered = (documents[key] for key in list(kafka.expected)[10:12])
    await put(deployment.couchdb_url, deployment.database, deleted | {"_deleted": True})
    await put(deployment.couchdb_url, deployment.database, altered | {"subject": "secret-subject"})

    code, report = await audited(commands)
    assert code == 1
    assert report["failures"] == {
        "missing": 1,
        "different": 1,
        "not_set_aside": 0,
        "never_arrived": 1,
    }
    found = report["examples"]
    assert (found["missing"][0]["document"], found["missing"][0]["topic"]) == (
        deleted["_id"],
        others,
    )
    assert (found["different"][0]["document"], found["different"][0]["fields"]) == (
        altered["_id"],
        ["subject"],
    )
    assert (found["never_arrived"][0]["activation"], found["never_arrived"][0]["offset"]) == (
        NEVER_ARRIVED,
        152,
    )

    text = await commands.run("audit", "--repair", "--dry-run")
    assert text.code == 1
    for shown in (deleted["_id"], altered["_id"], NEVER_ARRIVED, "differs in subject"):
        assert shown in text.output
    assert "Would send 1 record again" in text.output
    assert "secret" not in text.output + text.errors
    assert deleted["_id"] not in await deployment.stored()

    code, report = await audited(commands, "--repair")
    assert (code, report["repaired"]["sent"]) == (1, 1)

    async def repaired() -> bool:
        return deleted["_id"] in await deployment.stored()

    await until(repaired, "the missing document is there again")
    await deployment.drained(others)
    code, report = await audited(commands)
    assert (code, report["failures"]["missing"], report["failures"]["different"]) == (1, 0, 1)
    now = (await deployment.stored())[deleted["_id"]]
    ignored = {"_rev", "updated"}
    assert {k: v for k, v in now.items() if k not in ignored} == {
        k: v for k, v in deleted.items() if k not in ignored
    }


async def test_what_the_worker_has_not_come_to_is_pending_not_missing(
    deployment: Deployment, kafka: Producer, commands: Commands
) -> None:
    topic = await deployment.topic("completed-others")
    running = await deployment.worker(partitions=4, session_timeout=3)
    records = Records(22).many(60)
    await kafka.records(topic, records[:50])
    await deployment.drained(topic)
    running.kill()
    await kafka.records(topic, records[50:])
    code, report = await audited(commands)
    assert (code, report["totals"]) == (0, {"present": 50, "pending": 10})
    await deployment.worker(partitions=4, session_timeout=3)
    await deployment.drained(topic)
    await deployment.holds_what_was_sent()
    code, report = await audited(commands)
    assert (code, report["totals"]) == (0, {"present": 60})


async def test_an_audit_can_be_limited_to_a_time_and_to_topics(
    deployment: Deployment, kafka: Producer, commands: Commands
) -> None:
    topics = await deployment.topics("completed0", "completed-others", retention_ms="-1")
    await deployment.worker(partitions=4, session_timeout=3)
    hour = 1_767_322_800_000
    for number in range(3):
        for topic in topics:
            records = Records(30 + number).many(10)
            at = hour + number * 3_600_000
            await kafka.records(topic, records, timestamp=at)
    await deployment.drained(*topics)
    code, report = await audited(commands)
    assert (code, report["totals"]) == (0, {"present": 60})
    assert list(report["topics"][topics[0]]) == [
        "2026-01-02T03:00:00Z",
        "2026-01-02T04:00:00Z",
        "2026-01-02T05:00:00Z",
    ]
    between = ("--since", "2026-01-02T04:00", "--until", "2026-01-02T05:00")
    code, report = await audited(commands, *between)
    assert (code, report["totals"]) == (0, {"present": 20})
    code, report = await audited(commands, *between, "--topic", topics[0])
    assert {topic: list(hours) for topic, hours in report["topics"].items()} == {
        topics[0]: ["2026-01-02T04:00:00Z"]
    }


async def test_with_logs_inside_the_records_acknowledgements_still_tell_what_never_arrived(
    deployment: Deployment, kafka: Producer
) -> None:
    stored_on, acknowledged_on = await deployment.topics("activations", "completed0")
    settings = {
        "log_mode": "in-record",
        "database": deployment.database,
        "topic_prefix": deployment.prefix,
    }
    await deployment.worker(partitions=4, session_timeout=3, log_mode="in-record")
    records = Records(23).many(6)
    minutes_ago = int(time.time() * 1000) - 120_000
    await kafka.records(stored_on, records[:5])
    combined = [result(record, instance=INVOKER) for record in records]
    await kafka.send_all(acknowledged_on, [*combined, b"junk"], timestamp=minutes_ago)
    await deployment.drained(stored_on)
    group = deployment.group
    commands = Commands(deployment.kafka_url, deployment.couchdb_url, app_id=group, **settings)
    code, report = await audited(commands)
    assert (code, report["totals"]) == (
        1,
        {"present": 5, "acknowledgement": 5, "never_arrived": 1},
    )
    (found,) = report["examples"]["never_arrived"]
    assert found["activation"] == records[5]["activationId"]


async def test_what_keeps_an_audit_from_being_made_is_one_line_and_exit_code_2(
    kafka_url: str, couchdb_url: str, commands: Commands, database: str, prefix: str
) -> None:
    settings = {"topic_prefix": prefix, "database": database}
    missing_database = await commands.run("audit")
    assert "PERSISTER_DATABASE" in missing_database.errors
    no_database = await Commands(kafka_url, "http://127.0.0.1:1", **settings).run("audit")
    assert "PERSISTER_COUCHDB_URL" in no_database.errors
    async with aiohttp.ClientSession() as http, http.put(f"{couchdb_url}/{database}") as answer:
        assert answer.status == 201
    no_kafka = await Commands("kafka://127.0.0.1:1", couchdb_url, **settings).run("audit")
    assert "PERSISTER_KAFKA_URL" in no_kafka.errors
    nothing = await commands.run("audit")
    assert f"PERSISTER_TOPIC_PREFIX ({prefix!r})" in nothing.errors
    no_topic = await commands.run("audit", "--topic", "nothing")
    assert "nothing" in no_topic.errors
    for ran in (missing_database, no_database, no_kafka, nothing, no_topic):
        assert (ran.code, ran.output) == (2, "")
        assert len(ran.errors.splitlines()) == 1, ran.errors


async def test_a_standing_audit_counts_each_activation_once_and_goes_on_where_it_stopped(
    deployment: Deployment, kafka: Producer, commands: Commands
) -> None:
    completed, others = await deployment.topics("completed0", "completed-others")
    await deployment.worker(partitions=4, session_timeout=3)
    records = Records(24).many(40)
    minutes_ago = int(time.time() * 1000) - 900_000
    port = free_port()
    arguments = ("audit", "--every", "1s", "--port", str(port))

    await kafka.records(others, records[:20])
    await kafka.records(completed, records[10:20])  # some on both topics
    await kafka.send(completed, b"junk")
    await deployment.drained(completed, others)
    async with commands.running(*arguments) as standing:
        await until(lambda: ended(port, stored=20), "the first round has counted")
        await kafka.records(others, records[20:30])
        await deployment.drained(others)
        await until(lambda: ended(port, stored=30), "the next round went on")
    assert (standing.code, standing.errors.count("30 activations finished = 30 stored")) == (
        0,
        1,
    ), standing.errors

    await kafka.records(others, records[30:])
    lone = encode(COMPLETION | {"activationId": NEVER_ARRIVED})
    await kafka.send(completed, lone, timestamp=minutes_ago)
    await deployment.drained(completed, others)
    async with commands.running(*arguments) as standing:
        await until(lambda: ended(port, stored=10, never_arrived=1), "it began there", within=30)
    assert standing.code == 1
    assert f"{NEVER_ARRIVED} ({completed}/0 offset 11)" in standing.errors
    assert "Traceback" not in standing.errors


async def ended(port: int, **endings: int) -> bool:
    """Whether a standing audit shows these counts of activations, and no others."""
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientError:
        return False
    shown = {
        line.partition('"')[2].partition('"')[0].replace(" ", "_"): int(float(line.split()[-1]))
        for line in lines
        if line.startswith("persister_audit_activations_total{")
    }
    return {name: count for name, count in shown.items() if count} == endings
