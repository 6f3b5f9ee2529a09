"""Rights in Kafka that are missing, or taken away while a worker runs."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.kafka.patches import refused_fetches
from app.kafka.topics import TopicNames
from app.monitoring.progress.watch import LOOK_SECONDS
from dev.admin import admin as connect_admin
from dev.kafka import Kafka, kafka
from dev.kafka.rights import WRITE, rights
from models.dead_letter import DeadLetter
from models.reasons import RejectReason
from tests.integration.support.commands import Commands
from tests.integration.support.database import all_stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.records import Records
from tests.integration.support.waiting import drained, status, until

LOGIN = {
    "kafka_security_protocol": "SASL_PLAINTEXT",
    "kafka_sasl_mechanism": "PLAIN",
    "kafka_user": "stranger",
    "kafka_password": "battery-staple",
}
SOON = 12
NOT_READY_WITHIN = 20
ENDED_WITHIN = 30


@pytest.fixture(scope="module")
def broker() -> Iterator[Kafka]:
    users = {"somebody": "correct-horse"}
    with kafka(users=users, strangers={"stranger": LOGIN["kafka_password"]}) as running:
        yield running


async def test_a_topic_that_may_not_be_read_is_left_out_until_it_may(
    worker: StartWorker, broker: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    open_, closed = f"{prefix}completed0", f"{prefix}completed1"
    async with (
        connect_admin(broker.url) as admin,
        rights(broker.url, "stranger") as stranger,
        producer(broker.url) as records,
    ):
        await stranger.allow_everything()
        for topic in (open_, closed):
            await admin.create_topic(topic)
        await stranger.deny_reading(closed)
        hidden, shown = Records(3).many(10), Records(4).many(10)
        await records.records(closed, hidden)
        settings = LOGIN | {"kafka_url": broker.sasl_url, "partitions": 2}
        running = await worker(session_timeout=6, **settings)
        await records.records(open_, shown)
        await until(lambda: all_stored(couchdb_url, database, shown), "stored", within=SOON)
        await drained(admin, prefix, open_)
        assert running.running
        await asyncio.sleep(2 * LOOK_SECONDS)
        # What is unread and may not be read tells nothing of Kafka, nor of all the others.
        assert (await status(running))["kafka"]["away_since"] is None
        named = {"topic_prefix": prefix, "app_id": f"{prefix}persister", "database": database}
        doctor = Commands(str(broker.sasl_url), couchdb_url, partitions=2, **named, **LOGIN)
        ran = await doctor.run("doctor", "--json")
        found = {one["what"]: one for one in json.loads(ran.output)}
        assert (ran.code, found[open_]["state"], found[closed]["state"]) == (1, "ok", "wrong")
        assert found["rights to replay"]["state"] == "ok"
        await stranger.deny_writing(open_)
        found = {
            one["what"]: one for one in json.loads((await doctor.run("doctor", "--json")).output)
        }
        assert f"grant Write on {open_}" in found["rights to replay"]["detail"]
        assert running.log().count(f"{closed} may be seen, but not read") == 1

        await stranger.stop_denying(closed)
        within = refused_fetches.RETRY_SECONDS + SOON
        await until(lambda: all_stored(couchdb_url, database, hidden), "stored", within=within)
        assert f"{closed} may be read now" in running.log()


async def test_a_guard_whose_changelog_may_not_be_written_says_what_to_grant(
    worker: StartWorker, broker: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    topic, changelog = f"{prefix}completed0", f"{prefix}persister-guard-changelog"
    first, second, third = (Records(seed).many(5) for seed in (5, 6, 7))
    async with (
        connect_admin(broker.url) as admin,
        rights(broker.url, "stranger") as stranger,
        producer(broker.url) as records,
    ):
        await stranger.allow_everything()
        await stranger.deny_writing(changelog)
        await admin.create_topic(topic)
        await records.records(topic, first)
        running = await worker(**LOGIN, kafka_url=broker.sasl_url, partitions=1)
        await until(lambda: all_stored(couchdb_url, database, first), "stored", within=SOON)
        needed = f"user 'stranger' may not write to topic {changelog}: grant Write on it"

        async def named() -> bool:
            return needed in ((await status(running))["guard"]["not_written"] or "")

        await until(named, "named in /status", within=SOON)
        await records.records(topic, second)
        await until(lambda: all_stored(couchdb_url, database, second), "stored", within=SOON)
        told = await status(running)
        assert (told["ready"], told["summary"]["level"]) == (True, "mind")
        (line,) = [one for one in running.log().splitlines() if "WARNING storing" in one]
        assert needed in line
        assert not any(words in running.log() for words in ("_on_published", "never retrieved"))

        await stranger.stop_denying(changelog, WRITE)
        await records.records(topic, third)

        async def written() -> bool:
            return (await status(running))["guard"]["not_written"] is None

        await until(written, "written", within=SOON)
        assert "is written to Kafka again" in running.log()


async def test_a_worker_that_may_not_read_its_own_topic_any_more_is_not_ready_until_it_may(
    worker: StartWorker, broker: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    topic, internal = f"{prefix}completed0", f"{prefix}persister-documents"
    async with (
        connect_admin(broker.url) as admin,
        rights(broker.url, "stranger") as stranger,
        producer(broker.url) as records,
    ):
        await stranger.allow_everything()
        await admin.create_topic(topic)
        running = await worker(**LOGIN, kafka_url=broker.sasl_url, partitions=1)
        await stranger.deny_reading(internal)
        sent = Records(8).many(10)
        await records.records(topic, sent)

        async def not_ready() -> bool:
            return not (await status(running))["ready"]

        await until(not_ready, "not ready", within=NOT_READY_WITHIN)
        told = await status(running)
        assert f"the topic {internal} may not be read" in told["not_ready"]
        (finding,) = [
            one for one in told["summary"]["findings"] if one["what"].startswith("The topic")
        ]
        assert "own: grant Read on it" in finding["do"]

        await stranger.stop_denying(internal)
        within = refused_fetches.RETRY_SECONDS + SOON
        await until(lambda: all_stored(couchdb_url, database, sent), "stored", within=within)

        async def ready() -> bool:
            return bool((await status(running))["ready"])

        await until(ready, "ready again", within=SOON)
        assert running.running


@pytest.mark.parametrize("exists", [True, False])
async def test_a_worker_without_a_right_to_its_own_topics_ends_before_it_reads_anything(
    worker: StartWorker, broker: Kafka, prefix: str, *, exists: bool
) -> None:
    topic, internal = f"{prefix}completed0", f"{prefix}persister-documents"
    letters, changelog = f"{prefix}persister-dead-letters", f"{prefix}persister-guard-changelog"
    async with (
        connect_admin(broker.url) as admin,
        rights(broker.url, "stranger") as stranger,
        producer(broker.url) as records,
    ):
        await stranger.allow_everything()
        await stranger.deny_reading(internal)
        await stranger.deny_writing(letters)
        await admin.create_topic(topic)
        grants = f"Read on {internal} and Write on {letters}"
        if exists:
            for own in (internal, letters, changelog):
                await admin.create_topic(own)
            await stranger.deny_reading(changelog)
            grants = f"Read on {internal}, Write on {letters} and Read on {changelog}"
        await records.records(topic, Records(9).many(5))
        running = await worker(ready=False, **LOGIN, kafka_url=broker.sasl_url, partitions=1)
        assert await asyncio.to_thread(running.wait, ENDED_WITHIN) == 1
        assert f"user 'stranger' lacks rights to topics: grant {grants}" in running.log()
        assert "Traceback" not in running.log()
        assert await admin.committed(f"{prefix}persister", topic) == {}


async def test_a_replay_that_may_not_write_names_the_right_and_goes_on_once_it_is_granted(
    broker: Kafka, couchdb_url: str, prefix: str, database: str
) -> None:
    topic, names = f"{prefix}completed0", TopicNames(prefix)
    letter = DeadLetter(
        topic, 0, 0, 1_767_325_445_000, RejectReason.NOT_JSON, "no JSON", value=b"x"
    )
    async with (
        connect_admin(broker.url) as admin,
        rights(broker.url, "stranger") as stranger,
        producer(broker.url) as records,
    ):
        await stranger.allow_everything()
        await stranger.deny_writing(topic)
        for name in (topic, names.dead_letters):
            await admin.create_topic(name)
        headers: Any = letter.to_headers()
        await records.send(names.dead_letters, letter.value, headers=headers)
        settings = {"topic_prefix": prefix, "app_id": f"{prefix}persister", "database": database}
        commands = Commands(str(broker.sasl_url), couchdb_url, **settings, **LOGIN)

        ran = await commands.run("dead-letters", "replay", "--yes")
        assert ran.code == 2
        assert f"user 'stranger' may not write to topic {topic}: grant Write on it" in ran.errors
        # It has claimed nothing, which the next run would wait for.
        assert await read_topic(broker.url, names.replays) == []

        await stranger.stop_denying(topic, WRITE)
        ran = await commands.run("dead-letters", "replay", "--yes")
        assert (ran.code, ran.output) == (0, "Replayed 1 letter.\n")
        assert "Waiting" not in ran.errors


async def test_a_worker_that_may_not_use_its_group_any_more_ends_and_says_so(
    worker: StartWorker, broker: Kafka, prefix: str
) -> None:
    async with rights(broker.url, "stranger") as stranger:
        await stranger.allow_everything()
        settings = LOGIN | {"kafka_url": broker.sasl_url, "partitions": 1, "session_timeout": 6}
        running = await worker(**settings)
        await stranger.deny_group(f"{prefix}persister")
        next_one = await worker(ready=False, **settings)
        for one in (running, next_one):
            assert await asyncio.to_thread(one.wait, ENDED_WITHIN) == 1
            last = one.log().splitlines()[-1]
            assert f"{prefix}persister (PERSISTER_APP_ID): grant Read on it" in last
            assert "Traceback" not in one.log()
