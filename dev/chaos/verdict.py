"""The independent check of database and Kafka against what was produced."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp

from app.kafka.reader import open_reader
from app.monitoring.outcomes import Step
from app.settings import KafkaSettings
from dev.chaos.flow import Books
from models.dead_letter import DeadLetter
from models.reasons import RejectReason

PAGE = 2000
"""Documents read at a time."""

SHOWN = 3
"""Examples of what is wrong."""


async def stored(couchdb_url: str, database: str) -> list[dict[str, Any]]:
    """All documents except design documents."""
    documents: list[dict[str, Any]] = []
    query = {"include_docs": "true", "limit": str(PAGE + 1)}
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{couchdb_url}/{database}/_all_docs", params=query) as answer:
                answer.raise_for_status()
                rows = (await answer.json(content_type=None))["rows"]
            documents += [row["doc"] for row in rows[:PAGE]]
            if len(rows) <= PAGE:
                break
            query["startkey"] = json.dumps(rows[PAGE]["id"])
    return [document for document in documents if not document["_id"].startswith("_design/")]


async def dead_letters(settings: KafkaSettings, topic: str) -> list[DeadLetter]:
    """Every dead letter that Kafka has now."""
    async with open_reader(settings) as reader:
        return [
            DeadLetter.from_record(record.key, record.value, record.headers)
            for partition, bounds in (await reader.bounds(topic, 1)).items()
            async for record in reader.records(partition, bounds)
        ]


def judge_documents(books: Books, documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Check that every record is stored exactly once, in its first revision, with equal content."""
    kept = list(documents)
    ids = [str(document["_id"]) for document in kept]
    again = [str(d["_id"]) for d in kept if not str(d["_rev"]).startswith("1-")]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1}) if len(set(ids)) < len(ids) else []
    wrong = {**vars(books.ledger.differences(kept)), "written again": again, "listed twice": twice}
    return [
        f"{len(found)} documents {what}, such as {', '.join(found[:SHOWN])}"
        for what, found in wrong.items()
        if found
    ]


def lost(books: Books, documents: Iterable[Mapping[str, Any]]) -> int:
    """How many documents are missing."""
    return len(books.ledger.differences(documents).missing)


def doubled(documents: Iterable[Mapping[str, Any]]) -> int:
    """How many documents were written more than once."""
    return sum(not str(document["_rev"]).startswith("1-") for document in documents)


def judge_letters(books: Books, letters: Iterable[DeadLetter], documents: str) -> list[str]:
    """Check that exactly the expected records are dead letters, each at least once.

    Args:
        books: of what was produced.
        letters: in the dead-letter topic; one that is there twice counts once.
        documents: the internal topic.
    """
    places: defaultdict[tuple[str, bytes], set[tuple[int, int, int]]] = defaultdict(set)
    divergent: set[str] = set()
    wrong = []
    for letter in letters:
        where = f"{letter.topic}/{letter.partition}/{letter.offset}"
        if letter.topic != documents:
            # A topic may have been made again: then its offsets come twice.
            place = (letter.partition, letter.offset, letter.timestamp)
            places[letter.topic, letter.value or b""].add(place)
        elif letter.reason is RejectReason.DIVERGENT:
            divergent.add(json.loads(letter.value or b"{}")["_id"])
        else:
            wrong.append(f"{where} is a dead letter: {letter.reason}, {letter.detail}")
    known = books.rejected.keys() | books.doubtful
    wrong += [
        f"{topic}: a valid message is a dead letter, from offset {min(found)[1]}"
        for (topic, value), found in places.items()
        if (topic, value) not in known
    ]
    lost = sum(
        max(0, count - len(places.get(message, ()))) for message, count in books.rejected.items()
    )
    if lost:
        wrong.append(f"{lost} rejected messages are missing from the dead letters")
    if missing := sorted(books.divergent - divergent):
        wrong.append(
            f"{len(missing)} divergent documents are missing from the dead letters, "
            f"such as {missing[0]}"
        )
    if many := sorted(divergent - books.divergent - books.ledger.doubtful):
        wrong.append(f"{len(many)} documents are wrongly called divergent, such as {many[0]}")
    return wrong


def judge_outcomes(reported: Mapping[str, Any]) -> list[str]:
    """Check that a worker's outcomes add up, and that nothing was lost to retention."""
    wrong = []
    for step in Step:
        lines = dict(reported[step.value])
        consumed = lines.pop("consumed")
        total = sum(sum(n.values()) if isinstance(n, Mapping) else n for n in lines.values())
        if total != consumed:
            wrong.append(f"{step}: {consumed} records consumed, but {total} outcomes")
    if reported["lost_to_retention"]:
        wrong.append(f"lost to retention: {reported['lost_to_retention']}")
    return wrong
