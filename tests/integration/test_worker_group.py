"""Several workers: they share the work, and one that vanishes costs nothing but time."""

import asyncio

from yarl import URL

from app.kafka.group_view import GroupView, Observer
from app.settings import KafkaSettings
from dev.worker import Worker
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.load import load
from tests.integration.support.proxy import proxy
from tests.integration.support.records import Records
from tests.integration.support.waiting import outcomes, status, until

PARTITIONS = 4


async def partitions_of(worker: Worker, prefix: str) -> set[str]:
    topics = (await status(worker))["topics"]
    partitions = topics.get(f"{prefix}persister-documents", {})
    return {number for number, shown in partitions.items() if shown["mine"]}


async def shared(prefix: str, *workers: Worker) -> None:
    """Return once all internal partitions are assigned, evenly and each once."""

    async def evenly() -> bool:
        held = [await partitions_of(worker, prefix) for worker in workers]
        fair = all(len(mine) == PARTITIONS // len(workers) for mine in held)
        return fair and len(set().union(*held)) == PARTITIONS

    await until(evenly, f"{len(workers)} workers share {PARTITIONS} partitions")


async def stores(worker: Worker) -> None:
    """Return once the worker has stored something."""

    async def something() -> bool:
        return (await outcomes(worker))["store", "stored", ""] > 0

    await until(something, "the worker stores")


async def test_workers_share_the_internal_topic_and_scaling_loses_nothing(
    deployment: Deployment, kafka: Producer
) -> None:
    topics = await deployment.topics("completed0", "completed1")
    quick = {"partitions": PARTITIONS, "session_timeout": 3}
    first, second = await asyncio.gather(deployment.worker(**quick), deployment.worker(**quick))
    await shared(deployment.prefix, first, second)

    async with load(kafka, topics, Records(21)):
        await asyncio.gather(stores(first), stores(second))
        assert await asyncio.to_thread(first.terminate) == 0
        await shared(deployment.prefix, second)
        third = await deployment.worker(**quick)
        await shared(deployment.prefix, second, third)
        await stores(third)
    await deployment.drained(*topics)
    await deployment.holds_what_was_sent()

    ended = await outcomes(second, third)
    assert 0 < ended["store", "stored", ""] < len(kafka.expected)
    assert {line[1] for line in ended} <= {"routed", "stored", "duplicate"}


async def test_workers_that_are_killed_under_load_lose_nothing_and_write_nothing_twice(
    deployment: Deployment, kafka: Producer
) -> None:
    topics = await deployment.topics("completed0", "completed1", "completed-others")
    quick = {"partitions": PARTITIONS, "session_timeout": 2}
    first, second = await asyncio.gather(deployment.worker(**quick), deployment.worker(**quick))

    async with load(kafka, topics, Records(22)):
        for victims in ([first], [second], [first, second]):
            await asyncio.gather(*map(stores, victims))
            for victim in victims:
                victim.kill()
            await asyncio.gather(*(asyncio.to_thread(victim.start) for victim in victims))
    await deployment.drained(*topics)
    await deployment.holds_what_was_sent()

    ended = await outcomes(first, second)
    assert 0 < ended["store", "stored", ""] <= len(kafka.expected)
    assert {line[1] for line in ended} <= {"routed", "stored", "duplicate"}


async def group(deployment: Deployment) -> GroupView:
    """The group as Kafka sees it now."""
    observer = await Observer.connect(
        KafkaSettings(url=deployment.kafka_url, app_id=deployment.group)
    )
    try:
        return await observer.look({}, [])
    finally:
        await observer.close()


async def test_a_worker_that_stops_while_the_group_rebalances_commits_and_leaves_at_once(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    patient = {"partitions": PARTITIONS, "session_timeout": 30}
    url = URL(deployment.couchdb_url)
    async with proxy(str(url.with_user(None)).rstrip("/")) as in_front:
        through = URL(in_front.url).with_user(url.user).with_password(url.password)
        settings = {"couchdb_url": str(through).rstrip("/"), "shutdown_deadline": 120}
        first = await deployment.worker(**patient, **settings)
        (member,) = (await group(deployment)).members
        in_front.refusing = 503
        await kafka.records(topic, Records(23).many(50))

        async def holds_all() -> bool:
            in_flight: int = (await status(first))["in_flight"]["documents"]
            return in_flight == 50

        await until(holds_all, "all documents wait for the database")
        ending = asyncio.create_task(asyncio.to_thread(first.terminate, timeout=100))
        second = await deployment.worker(**patient, ready=False)

        async def knows() -> bool:
            return "because it is rebalancing" in first.log()

        await until(knows, "the worker that stops hears of the rebalance")
        in_front.refusing = None
        assert await ending == 0
    assert member not in (await group(deployment)).members

    await asyncio.to_thread(second.wait_until_ready)
    await deployment.drained(topic)
    await deployment.holds_what_was_sent()
    assert (await outcomes(second)).keys() == set()


async def test_a_worker_that_is_stopped_as_it_finds_a_topic_ends_and_leaves_at_once(
    deployment: Deployment,
) -> None:
    await deployment.topic("completed0")
    running = await deployment.worker(partitions=PARTITIONS, session_timeout=30)
    new = await deployment.topic("completed1")

    async def found() -> bool:
        return f"Found new topics: {new}" in running.log()

    await until(found, "it subscribes to another topic")
    assert await asyncio.to_thread(running.terminate, timeout=60) == 0
    assert (await group(deployment)).members == {}
