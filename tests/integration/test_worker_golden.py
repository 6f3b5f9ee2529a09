"""What OpenWhisk wrote, through Kafka and a worker, against what its own store made of it."""

import json
import re
import time
from collections import Counter
from typing import Any

import pytest

from app.settings import LogMode
from dev.admin import Admin
from models.wire import Version
from tests.golden import Case, Number, cases
from tests.integration.conftest import StartWorker
from tests.integration.support.database import assert_holds
from tests.integration.support.kafka import producer
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


@pytest.mark.parametrize("log_mode", LogMode)
@pytest.mark.parametrize("version", Version)
async def test_every_message_of_openwhisk_becomes_the_document_that_its_store_wrote(
    version: Version,
    log_mode: LogMode,
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    given = cases_of(version, log_mode)
    topics = {f"{prefix}{topic_of(case)}" for case in given}
    for topic in topics:
        await admin.create_topic(topic)
    now = int(time.time() * 1000)
    async with producer(kafka_url) as kafka:
        for case in given:
            await kafka.send(f"{prefix}{topic_of(case)}", case.message, timestamp=now)
    running = await worker(partitions=4, log_mode=log_mode.value)
    await drained(admin, prefix, *topics)

    records = [record for case in given if (record := record_of(case)) is not None]
    expected = {document_id(record): document(record, now) for record in records}
    for case in given:
        if case.document is not None:
            captured = plain(case.document) | {"updated": now}
            assert captured["_id"] in expected
            expected[captured["_id"]] = captured
    await assert_holds(couchdb_url, database, expected)
    ended = await outcomes(running)
    assert ended == Counter(
        {
            ("route", "routed", ""): len(records),
            ("store", "stored", ""): len(expected),
            ("store", "duplicate", "guard"): len(records) - len(expected),
        }
    ) + Counter(("route", "skipped", skip_reason(case)) for case in given if not record_of(case))
