"""`trace` tells where an activation is, on a real Kafka and database."""

import json
from typing import Any

from tests.integration.support.commands import Commands
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records, encode, result

REPORTED, UNSEEN = "e" * 32, "f" * 32


async def test_every_fate_is_told(deployment: Deployment, kafka: Producer) -> None:
    commands = Commands(
        deployment.kafka_url,
        deployment.couchdb_url,
        topic_prefix=deployment.prefix,
        app_id=deployment.group,
        database=deployment.database,
    )

    async def traced(activation: str) -> tuple[int, dict[str, Any]]:
        ran = await commands.run("trace", "--json", activation)
        assert ran.output, ran.errors
        return ran.code, json.loads(ran.output)

    completed, others = await deployment.topics("completed0", "completed-others")
    running = await deployment.worker(partitions=4, session_timeout=3)
    first, refused, late = Records(5).many(3)
    refused["logs"] = "not an array"
    await kafka.send(completed, encode({"transid": ["t", 1], "response": REPORTED}))
    await kafka.send(others, result(first))
    await kafka.send(others, result(refused))
    await deployment.drained(completed, others)
    running.terminate()
    running.wait()
    await kafka.send(others, result(late))

    code, account = await traced(first["activationId"])
    assert (code, account["fate"]) == (0, "stored")
    assert account["revision"].startswith("1-")
    assert [one["kind"] for one in account["seen"]] == ["record", "document"]
    assert account["activation"]["namespace"] == first["namespace"]

    code, account = await traced(refused["activationId"])
    assert (code, account["fate"]) == (0, "set aside")
    assert "invalid-record" in account["seen"][-1]["decided"]

    code, account = await traced(late["activationId"])
    assert (code, account["fate"], account["seen"][-1]["behind"]) == (0, "waiting", 0)

    code, account = await traced(f"guest/{REPORTED}")
    assert (code, account["fate"]) == (1, "reported")
    code, account = await traced(f"guest/{UNSEEN}")
    assert (code, account["fate"], account["seen"]) == (1, "unseen", [])


async def test_what_cannot_be_asked_is_said(couchdb_url: str, database: str) -> None:
    commands = Commands("kafka://127.0.0.1:1", couchdb_url, database=database)
    ran = await commands.run("trace", UNSEEN)
    assert ran.code == 2
    assert "not looked at: Kafka at kafka://127.0.0.1:1" in ran.output
    assert "not looked at: the database: " in ran.output
    assert "Traceback" not in ran.errors
