"""Whatever else is on the topics never stops the stream, and is kept as it came."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from models.dead_letter import DeadLetter
from tests.integration.support.database import assert_holds
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer, Sent, read_topic
from tests.integration.support.records import Records, encode, result
from tests.integration.support.waiting import outcomes

SOME = Records(2)

UNREADABLE: dict[str, list[bytes | None]] = {
    "not-json": [
        None,
        b"",
        b"ping",
        b"{",
        b"\x00",
        b'{"transid":["t",1],"response":"\xff"}',
        b"[" * 100_000,
        b"x" * 2_000_000,
    ],
    "not-a-message": [
        b"null",
        b"42",
        b"[]",
        b'"text"',
        b"{}",
        encode({"transid": ["t", 1]}),
        result(42),
        result("not an activation id"),
    ],
    "invalid-record": [
        result({}),
        result(SOME.one(activationId="short")),
        result(SOME.one(start="yesterday")),
        result(SOME.one(logs=None)),
        result(SOME.one(_private=1)),
    ],
}

HEADERS = (
    ("trace", b"\x00\xff"),
    ("trace", b"again"),
    ("empty", b""),
    ("dead-letter-reason", b"-"),
)


class Letter(NamedTuple):
    """What must be kept of a record that was set aside."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def letter(sent: Sent, reason: str) -> Letter:
    return Letter(*sent[:4], reason, sent.key, sent.value, sent.headers)


def letters(records: Iterable[Any]) -> list[Letter]:
    read = (DeadLetter.from_record(kept.key, kept.value, kept.headers) for kept in records)
    return [
        Letter(
            kept.topic,
            kept.partition,
            kept.offset,
            kept.timestamp,
            kept.reason.value,
            kept.key,
            kept.value,
            tuple(kept.headers),
        )
        for kept in read
    ]


async def test_unreadable_records_are_set_aside_byte_for_byte_and_the_rest_is_stored(
    deployment: Deployment, kafka: Producer
) -> None:
    topics = await deployment.topics("completed0", "completed-others", max_message_bytes="10000000")
    running = await deployment.worker(partitions=4, session_timeout=3)
    records = Records(3)
    set_aside = []
    for number, topic in enumerate(topics):
        for reason, values in UNREADABLE.items():
            for value in values:
                await kafka.records(topic, records.many(3))
                # A record has a key or a value; aiokafka sends none without both.
                key = b"\x00key\xff" if number or value is None else None
                sent = await kafka.send(topic, value, key=key, headers=HEADERS[number:])
                set_aside.append(letter(sent, reason))
        await kafka.records(topic, records.many(3))
    await deployment.drained(*topics)
    expected = kafka.expected

    await assert_holds(deployment.couchdb_url, deployment.database, expected)
    kept = letters(await deployment.dead_letters())
    assert sorted(kept, key=place) == sorted(set_aside, key=place)
    assert await outcomes(running) == Counter(
        {
            ("route", "routed", ""): len(expected),
            ("store", "stored", ""): len(expected),
            **{
                ("route", "dead-lettered", reason): len(topics) * len(values)
                for reason, values in UNREADABLE.items()
            },
        }
    )


def place(kept: Letter) -> tuple[str, int]:
    return kept.topic, kept.offset


async def test_what_the_database_refuses_is_set_aside_and_the_rest_of_its_request_is_stored(
    deployment: Deployment, kafka: Producer
) -> None:
    topic = await deployment.topic("completed0")
    records = Records(4)
    surrogate = result(records.one(subject="RAW")).replace(b"RAW", rb"some\ud800body")
    infinite = result(records.one(publish=False)).replace(b"0.5", b"1e400")
    for value in (surrogate, infinite):
        await kafka.records(topic, records.many(20))
        await kafka.send(topic, value)
    await kafka.records(topic, records.many(20))
    running = await deployment.worker(partitions=4, session_timeout=3)
    await deployment.drained(topic)
    expected = kafka.expected

    await assert_holds(deployment.couchdb_url, deployment.database, expected)
    kept = letters(await deployment.dead_letters())
    documents = {
        (record.partition, record.offset): record
        for record in await read_topic(deployment.kafka_url, deployment.documents)
    }
    assert [(one.topic, one.reason) for one in kept] == [(deployment.documents, "refused")] * 2
    for one in kept:
        origin = documents[one.partition, one.offset]
        assert (one.key, one.value) == (origin.key, origin.value)
    assert await outcomes(running) == Counter(
        {
            ("route", "routed", ""): 62,
            ("store", "stored", ""): 60,
            ("store", "dead-lettered", "refused"): 2,
        }
    )
