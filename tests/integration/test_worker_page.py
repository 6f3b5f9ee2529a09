"""One page for the whole group: every worker tells the others how it is."""

import asyncio
import json
from typing import Any

import aiohttp

from dev.worker import Worker
from tests.integration.support.deployment import Deployment, StartWorker
from tests.integration.support.kafka import Producer
from tests.integration.support.records import Records
from tests.integration.support.waiting import status, until

TOKEN = "0123456789-abcdef"


async def get(worker: Worker, path: str, token: str = "") -> tuple[int, str]:
    """Status and body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(worker.url + path) as answer,
    ):
        return answer.status, await answer.text()


async def workers(worker: Worker) -> dict[str, Any]:
    """What `/status` of a worker says of each of the group, by its port."""
    told = (await status(worker))["workers"]
    return {name.rpartition(":")[2]: one for name, one in told.items()}


async def test_each_worker_shows_all_of_them_and_whom_it_misses(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    running = await asyncio.gather(
        *(deployment.worker(partitions=4, session_timeout=3) for _ in range(3))
    )
    first, killed, stopped = running
    await kafka.records(topic, Records(16).many(30))
    await deployment.drained(topic)

    async def all_are_there() -> bool:
        told = [await workers(one) for one in running]
        return all(
            len(one) == 3 and sum(each["counts"]["stored"] for each in one.values()) == 30
            for one in told
        )

    await until(all_are_there, "each knows all three, and what they have stored")
    told = await workers(first)
    assert [one["own"] for one in told.values()] == [True, False, False]
    assert all(one["ready"] and not one["missing"] for one in told.values())
    readers = {
        partition["worker"]
        for partitions in (await status(first))["topics"].values()
        for partition in partitions.values()
    }
    assert {name.rpartition(":")[2] for name in readers} <= told.keys()

    killed.kill()
    assert await asyncio.to_thread(stopped.terminate) == 0

    async def is_missed() -> bool:
        told = await workers(first)
        return (
            told.keys() == {str(first.port), str(killed.port)}
            and (told[str(killed.port)]["missing"])
        )

    await until(is_missed, "the one that was killed is missing, the one that stopped is gone")
    assert "The status page does not show all workers" not in first.log()


async def test_the_page_is_there_when_it_is_needed(worker: StartWorker) -> None:
    without_kafka, without_database = await asyncio.gather(
        worker(ready=False, kafka_url="kafka://127.0.0.1:9"),
        worker(ready=False, couchdb_url="http://127.0.0.1:9"),
    )
    for running, what, advice in (
        (without_kafka, "Kafka has not answered since", "PERSISTER_KAFKA_URL names them"),
        (without_database, "The database has taken no documents since", "PERSISTER_COUCHDB_URL"),
    ):

        async def says(running: Worker = running, what: str = what) -> bool:
            try:
                page = (await get(running, "/"))[1]
            except aiohttp.ClientError:
                return False
            return what in page and "Something is wrong" in page

        await until(says, f"the page says: {what}")
        assert advice in (await get(running, "/"))[1]


async def test_an_activation_is_traced_on_the_page(deployment: Deployment, kafka: Producer) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(partitions=4, web_token=TOKEN)
    record = Records(17).one(logs=["2027-01-15T12:00:00.000Z stdout: hello"])
    activation = record["activationId"]
    await kafka.records(topic, [record])
    await deployment.drained(topic)

    code, told = await get(running, f"/trace/{activation}?format=json")
    assert (code, record["logs"][0] in told) == (401, False)
    code, told = await get(running, f"/trace/{activation}?format=json", token=TOKEN)
    account = json.loads(told)
    assert (code, account["fate"]) == (200, "stored")
    assert account["logs"] == record["logs"]
    assert "the guard remembers it as stored" in account["seen"][-1]["decided"]
    assert account["not_looked_at"] == []

    asked = [get(running, f"/trace/{n:032x}", token=TOKEN) for n in range(6)]
    codes = [code for code, _ in await asyncio.gather(*asked)]
    assert codes.count(200) >= 2
    assert set(codes) == {200, 503}
    assert (await get(running, "/", token=TOKEN))[0] == 200
