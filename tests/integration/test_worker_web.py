"""The worker's pages: what a supervisor, a person and Prometheus read."""

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.worker import Worker
from tests.integration.support.deployment import Deployment, StartWorker
from tests.integration.support.kafka import Producer
from tests.integration.support.records import INVOKER, Records, encode
from tests.integration.support.waiting import outcomes, status, until

UNREACHABLE = "kafka://127.0.0.1:9"


async def get(worker: Worker, path: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    async with aiohttp.ClientSession() as http, http.get(worker.url + path) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def page(worker: Worker, path: str) -> tuple[int, Any]:
    """Status and decoded body."""
    code, content_type, body = await get(worker, path)
    assert content_type.startswith("application/json")
    return code, json.loads(body)


async def samples(worker: Worker) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Each sample of `/metrics` by its name and labels."""
    code, content_type, body = await get(worker, "/metrics")
    assert code == 200
    assert content_type.startswith("text/plain; version=")
    found: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            assert labels not in found.get(sample.name, {}), f"twice: {sample}"
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


async def test_the_pages_say_what_became_of_the_records(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    running = await deployment.worker(partitions=4, session_timeout=3)
    await kafka.records(topic, Records(11).many(30))
    await kafka.send(topic, b"not JSON")
    acknowledgement = {"transid": ["t", 1], "activationId": "0" * 32, "instance": INVOKER}
    await kafka.send(topic, encode(acknowledgement))
    await deployment.drained(topic)

    assert await page(running, "/health/live") == (200, {"live": True})
    assert await page(running, "/health/ready") == (200, {"ready": True, "reason": None})

    ended = await outcomes(running)
    assert ended == Counter(
        {
            ("route", "routed", ""): 30,
            ("route", "skipped", "acknowledgement"): 1,
            ("route", "dead-lettered", "not-json"): 1,
            ("store", "stored", ""): 30,
        }
    )
    shown = await status(running)
    assert shown["ready"]
    assert shown["lag"] == 0
    assert shown["topics"][topic]["0"] == {
        "committed": 32,
        "end": 32,
        "lag": 0,
        "deleted_in_seconds": None,
        "holder": "127.0.0.1",
        "worker": next(iter(shown["workers"])),
        "mine": True,
        "work": "idle",
        "since": None,
        "why": "",
    }
    assert shown["kafka"]["away_since"] is None
    assert sum(shown["guard"]["remembered"].values()) == 30
    assert shown["database"]["documents_written"] == 30
    assert shown["in_flight"] == {"documents": 0, "bytes": 0}

    measured = await samples(running)
    counted = Counter(
        {
            (labels["step"], labels["outcome"], labels["reason"]): int(value)
            for key, value in measured["persister_records_total"].items()
            if value and (labels := dict(key))
        }
    )
    assert counted == ended
    assert only(measured, "persister_ready") == 1
    assert only(measured, "persister_database_documents_written_total") == 30
    assert set(measured["persister_lag_records"].values()) == {0}
    assert sum(measured["persister_guard_records"].values()) == 30


def only(measured: dict[str, dict[frozenset[tuple[str, str]], float]], name: str) -> float:
    (value,) = measured[name].values()
    return value


@pytest.fixture
async def waiting(worker: StartWorker) -> Worker:
    """A worker that waits for a Kafka which is not there: its pages answer all the same."""
    running = await worker(ready=False, kafka_url=UNREACHABLE)

    async def answers() -> bool:
        try:
            return (await get(running, "/health/live"))[0] == 200
        except aiohttp.ClientError:
            return False

    await until(answers, "the web server is up")
    return running


async def test_a_worker_that_waits_for_kafka_lives_but_is_not_ready(waiting: Worker) -> None:
    code, body = await page(waiting, "/health/ready")
    assert code == 503
    assert "starting" in body["reason"]
    shown = await status(waiting)
    assert shown["topics"] == {}
    assert not shown["ready"]
    assert only(await samples(waiting), "persister_ready") == 0
    assert "PERSISTER_KAFKA_URL" in waiting.log()

    async def says_why() -> bool:
        return "Kafka does not answer" in (await page(waiting, "/health/ready"))[1]["reason"]

    await until(says_why, "it says that Kafka is away")
    assert (await status(waiting))["kafka"]["away_since"]
    # Pages of Faust that show more than health are not there.
    paths = ("/table", "/table/guard", "/router", "/router/guard", "/graph", "/stats")
    assert {path: (await get(waiting, path))[0] for path in paths} == dict.fromkeys(paths, 404)
    assert await asyncio.to_thread(waiting.terminate) == 0
    assert "Traceback" not in waiting.log()
