"""`doctor` on a real Kafka and database: fine, and with something wrong."""

import json
from typing import Any

import aiohttp

from dev.admin import Admin
from dev.process import free_port
from tests.integration.support.commands import Commands
from tests.integration.support.kafka import producer


async def examined(commands: Commands) -> tuple[int, dict[str, dict[str, Any]]]:
    ran = await commands.run("doctor", "--json")
    assert "Traceback" not in ran.errors
    return ran.code, {found["what"]: found for found in json.loads(ran.output)}


async def test_everything_that_is_needed_is_looked_at(
    admin: Admin, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    settings = {"topic_prefix": prefix, "app_id": f"{prefix}persister", "database": database}
    commands = Commands(kafka_url, couchdb_url, web_port=free_port(), **settings)
    code, found = await examined(commands)
    assert (code, found["database"]["state"]) == (0, "warning")
    assert "does not exist" in found["database"]["detail"]

    await admin.create_topic(f"{prefix}completed0")
    async with aiohttp.ClientSession() as http, http.put(f"{couchdb_url}/{database}") as answer:
        assert answer.status == 201
    code, found = await examined(commands)
    assert code == 0
    for what in ("settings", "Kafka", "rights in Kafka", "right to read", "right to write"):
        assert found[what]["state"] == "ok", found[what]
    assert found["design documents"]["state"] == "warning"
    assert f"{prefix}completed0" in found["PERSISTER_LOG_MODE=separate"]["detail"]
    assert f"{prefix}persister-documents" not in await admin.topics(prefix)


async def test_what_is_wrong_is_told_with_what_to_do(couchdb_url: str) -> None:
    nowhere = "kafka://127.0.0.1:1"
    code, found = await examined(Commands(nowhere, couchdb_url, couchdb_password="wrong"))
    assert code == 1
    assert "PERSISTER_KAFKA_URL" in found["Kafka"]["detail"]
    assert found["database"]["state"] == "wrong"
    assert "PERSISTER_COUCHDB_PASSWORD" in found["database"]["detail"]


async def test_setup_makes_what_is_missing_and_check_only_says_so(
    admin: Admin, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    settings = {
        "topic_prefix": prefix,
        "app_id": f"{prefix}persister",
        "database": database,
        "database_create": "false",
    }
    commands = Commands(kafka_url, couchdb_url, **settings)

    async def set_up(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        ran = await commands.run("setup", "--json", *arguments)
        assert "Traceback" not in ran.errors
        return ran.code, {found["what"]: found for found in json.loads(ran.output)}

    documents, changelog = f"{prefix}persister-documents", f"{prefix}persister-guard-changelog"
    code, found = await set_up("--check")
    assert (code, found[documents]["state"], found[changelog]["state"]) == (1, "wrong", "wrong")
    assert found["database"]["state"] == "wrong"
    assert documents not in await admin.topics(prefix)

    code, found = await set_up()
    assert (code, {one["state"] for one in found.values()}) == (0, {"ok"}), found
    assert "created" in found[documents]["detail"]
    assert {documents, changelog} <= {*await admin.topics(prefix)}

    code, found = await set_up("--check")
    assert (code, {one["state"] for one in found.values()}) == (0, {"ok"}), found

    await admin.configure_topic(documents, {"min.insync.replicas": "2"})
    doctor = await commands.run("doctor", "--json")
    assert doctor.code == 0
    details = {one["detail"]: one["state"] for one in json.loads(doctor.output)}
    (few,) = [one for one in details if "NOT_ENOUGH_REPLICAS" in one]
    assert details[few] == "warning"
    assert "--add-config min.insync.replicas=1" in few
    async with producer(kafka_url) as kafka:
        await kafka.send(documents, b"{}")

    await admin.grow_topic(changelog, 30)
    for ran in (await examined(commands), await set_up(), await set_up("--check")):
        code, found = ran
        assert (code, found[changelog]["state"]) == (1, "wrong")
        assert f"delete {changelog}" in found[changelog]["detail"]
