"""Which topics are read, also those that appear while the worker runs."""

from collections import Counter

from dev.worker import Worker
from tests.integration.support.database import assert_holds
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import outcomes, status, until

SOON = 30
"""Seconds within which a new topic must be read; aiokafka keeps metadata for 300."""


async def test_topics_that_appear_while_the_worker_runs_are_read_soon(
    deployment: Deployment, kafka: Producer
) -> None:
    running = await deployment.worker(partitions=4, session_timeout=3, discovery_interval=0.5)
    assert "There is no topic to read yet" in running.log()
    records = Records(5)
    names = ["completed0", "completedow-controller-1.owdev_2"]
    topics = [f"{deployment.prefix}{name}" for name in names]
    for number, topic in enumerate(topics, start=1):
        await deployment.admin.create_topic(topic)
        await kafka.records(topic, records.many(50))

        async def arrived(count: int = 50 * number) -> bool:
            return len(await deployment.stored()) == count

        await until(arrived, f"records of {topic} are stored", within=SOON)
    await deployment.drained(*topics)
    await deployment.holds_what_was_sent()
    assert await outcomes(running) == Counter(
        {("route", "routed", ""): 100, ("store", "stored", ""): 100}
    )


async def test_only_topics_of_the_log_mode_and_under_the_prefix_are_read(
    deployment: Deployment, kafka: Producer
) -> None:
    inner = f"{deployment.prefix}ow-"
    names = ("completed0", "completed-others", "activations", "health", "invoker0")
    read = Producer(kafka._client)
    for topic in [*(inner + name for name in names), deployment.prefix + "activations"]:
        await deployment.admin.create_topic(topic)
        ours = read if topic == f"{inner}activations" else kafka
        await ours.records(topic, Records(hash(topic)).many(20))
    running = await deployment.worker(
        partitions=4, session_timeout=3, log_mode="in-record", topic_prefix=inner
    )
    await _consumed(running, 20)

    await assert_holds(deployment.couchdb_url, deployment.database, read.expected)
    shown = await status(running)
    assert shown["topics"].keys() == {f"{inner}activations", f"{inner}persister-documents"}
    assert await outcomes(running) == Counter(
        {("route", "routed", ""): 20, ("store", "stored", ""): 20}
    )


async def _consumed(running: Worker, count: int) -> None:
    async def so_many() -> bool:
        return (await outcomes(running))["store", "stored", ""] >= count

    await until(so_many, f"{count} records are stored")
