"""What OpenWhisk wrote, through Kafka and a worker, against what its own store made of it."""

import asyncio
import json
import re
import time
from collections import Counter
from typing import Any

import pytest

from app.settings import LogMode
from models.wire import Version
from tests.golden import Case, Number, cases
from tests.integration.support.database import assert_holds
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.records import document, document_id
from tests.integration.support.waiting import drained, outcomes

TOPIC = re.compile(r".*?((?:completed|activations).*)")


def topic_of(case: Case) -> str:
    matched = TOPIC.fullmatch(case.topic)
    assert matched is not None
    return matched[1]


def cases_of(version: Version, log_mode: LogMode) -> list[Case]:
    in_record = log_mode is LogMode.IN_RECORD
    return [
        case
        for case in cases()
        if case.version is version and (topic_of(case) == "activations") is in_record
    ]


def record_of(case: Case) -> dict[str, Any] | None:
    response = json.loads(case.message).get("response")
    return response if isinstance(response, dict) else None


def plain(value: Any) -> Any:
    """The value with its numbers as numbers."""
    match value:
        case Number(text):
            return json.loads(text)
        case dict():
            return {key: plain(member) for key, member in value.items()}
        case list():
            return [plain(member) for member in value]
        case _:
            return value


def skip_reason(case: Case) -> str:
    return "acknowledgement" if case.kind == "CompletionMessage" else "no-record"


@pytest.mark.parametrize("version", Version)
async def test_every_message_of_openwhisk_becomes_the_document_that_its_store_wrote(
    deployment: Deployment, kafka: Producer, version: Version
) -> None:
    given = {mode: cases_of(version, mode) for mode in LogMode}
    topics = {
        mode: {f"{deployment.prefix}{mode}-{topic_of(case)}" for case in part}
        for mode, part in given.items()
    }
    now = int(time.time() * 1000)
    for topic in set().union(*topics.values()):
        await deployment.admin.create_topic(topic)
    for mode, part in given.items():
        for case in part:
            topic = f"{deployment.prefix}{mode}-{topic_of(case)}"
            await kafka.send(topic, case.message, timestamp=now)
    running = await asyncio.gather(
        *(
            deployment.worker(
                partitions=4,
                log_mode=mode.value,
                topic_prefix=f"{deployment.prefix}{mode}-",
                app_id=f"{deployment.prefix}{mode}-persister",
            )
            for mode in LogMode
        )
    )
    for mode in LogMode:
        await drained(deployment.admin, f"{deployment.prefix}{mode}-", *topics[mode])

    every = [case for part in given.values() for case in part]
    records = [record for case in every if (record := record_of(case)) is not None]
    expected = {document_id(record): document(record, now) for record in records}
    for case in every:
        if case.document is not None:
            captured = plain(case.document) | {"updated": now}
            assert captured["_id"] in expected
            expected[captured["_id"]] = captured
    await assert_holds(deployment.couchdb_url, deployment.database, expected)
    assert await outcomes(*running) == Counter(
        {
            ("route", "routed", ""): len(records),
            ("store", "stored", ""): len(expected),
            ("store", "duplicate", "guard"): len(records) - len(expected),
        }
    ) + Counter(("route", "skipped", skip_reason(case)) for case in every if not record_of(case))
