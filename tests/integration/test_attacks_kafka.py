"""Whoever may write to one of OpenWhisk's topics can't end the worker, or write beside its records.

One worker for all attacks: after each, a record of somebody else must be stored soon, and what was
sent must be set aside with its place.
"""

import secrets
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from app.kafka.clients import bootstrap_servers
from dev.admin import Admin
from dev.worker import Worker
from models.dead_letter import ATTEMPTS, REPLAY_OF, DeadLetter
from models.reasons import RejectReason
from models.repair import REPAIR
from tests.integration.support.database import stored
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.records import Records, document_id, result
from tests.integration.support.waiting import status, until

MIB = 1024 * 1024
SOON = 15.0
"""Seconds within which a good record behind an attack is stored."""

MEMORY = 200 * MIB
"""What a worker may have had at most; it has about 90 MB by itself, and stays below 150."""

# Where the fields of a batch stand: Kafka's protocol guide, "Record Batch".
CRC, SUMMED, LAST_OFFSET_DELTA = 17, 21, 23

JUNK_COPIED_AS_A_LETTER = [
    ("dead-letter-topic", b"completed0"),
    ("dead-letter-partition", b"0"),
    ("dead-letter-offset", b"9" * 5000),
    ("dead-letter-timestamp", b"0"),
    ("dead-letter-reason", b"not-json"),
    ("dead-letter-detail", b"\xff"),
    ("dead-letter-attempts", b"9" * 4300),
]


def design_document(namespace: str) -> bytes:
    record = Records(1).one(namespace=namespace)
    record["validate_doc_update"] = "function(){throw({forbidden:'everything'})}"
    return result(record)


VALUES: dict[str, tuple[list[tuple[bytes, list[tuple[str, bytes]]]], RejectReason]] = {
    "design documents": (
        [(design_document(name), []) for name in ("_design", "_local", "/_design/", "_x/y", "_")],
        RejectReason.INVALID_RECORD,
    ),
    "fields that CouchDB keeps to itself": (
        [
            (result(Records(2).one(**{name: value})), [])
            for name, value in (("_deleted", True), ("_rev", "1-a"), ("_attachments", {"a": 1}))
        ],
        RejectReason.INVALID_RECORD,
    ),
    "headers that are ours": (
        [
            (b"junk", JUNK_COPIED_AS_A_LETTER),
            (b"junk", JUNK_COPIED_AS_A_LETTER[:2] + JUNK_COPIED_AS_A_LETTER[3:]),
            (b"junk", [(ATTEMPTS, b"9" * 4300), (REPLAY_OF, b"\xff"), (REPAIR, b"")]),
            (b"junk", [("x" * 1000, b"y")] * 500),
        ],
        RejectReason.NOT_JSON,
    ),
    "scans that are not linear": (
        [
            (b"[" * 201 + b'"\\' * 32_768, []),
            (b'{"response":' + b'[{"' * 20_000, []),
            (b'"' + b"\\" * 900_001, []),
            (b"9" * 900_000 + b"x", []),
        ],
        RejectReason.NOT_JSON,
    ),
}


@asynccontextmanager
async def compressing(kafka_url: str, codec: str | None) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(kafka_url),
        compression_type=codec,
        max_request_size=512 * MIB,
        max_batch_size=512 * MIB,
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def peak_memory(worker: Worker) -> int:
    """Bytes that the worker had at most."""
    lines = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024


class Victim:
    """A worker, and records of somebody else that must be stored whatever comes before them."""

    def __init__(
        self, worker: Worker, kafka_url: str, couchdb_url: str, names: tuple[str, str]
    ) -> None:
        self.worker = worker
        self._kafka_url = kafka_url
        self._couchdb_url = couchdb_url
        self.topic, self._database = names
        self._records = Records(11)

    async def still_works(self) -> None:
        began = time.monotonic()
        await status(self.worker)
        assert time.monotonic() - began < 3, "the endpoint was silent"
        record = self._records.one()
        async with producer(self._kafka_url) as kafka:
            await kafka.records(self.topic, [record])

        async def there() -> bool:
            return document_id(record) in await stored(self._couchdb_url, self._database)

        await until(there, "the record of somebody else is stored", within=SOON)


@pytest.fixture
async def victim(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> Victim:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic, max_message_bytes=str(10 * MIB))
    running = await worker(partitions=1)
    return Victim(running, kafka_url, couchdb_url, (topic, database))


async def letters(kafka_url: str, prefix: str) -> list[DeadLetter]:
    records = await read_topic(kafka_url, f"{prefix}persister-dead-letters")
    return [DeadLetter.from_record(one.key, one.value, one.headers) for one in records]


async def test_no_value_and_no_header_harms(
    victim: Victim, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    expected = []
    for values, reason in VALUES.values():
        async with producer(kafka_url) as kafka:
            for value, headers in values:
                sent = await kafka.send(victim.topic, value, headers=headers)
                expected.append((sent.offset, reason, value, 0))
        await victim.still_works()

    kept = await letters(kafka_url, prefix)
    assert [(one.offset, one.reason, one.value, one.attempts) for one in kept] == expected
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{couchdb_url}/{database}/_design_docs?include_docs=true") as answer,
    ):
        assert "validate_doc_update" not in await answer.text()
    assert peak_memory(victim.worker) < MEMORY


def claiming(offsets: tuple[int, ...], last: int) -> Any:
    """An uncompressed batch of records that claim these offsets; its header has this last one.

    Both are counted from the batch's.
    """
    batch = BatchBuilder(MIB, 0)
    for offset, record in zip(offsets, Records(12).many(len(offsets)), strict=True):
        batch._relative_offset = offset
        batch.append(timestamp=None, key=None, value=result(record))
    encoded = batch._build()
    struct.pack_into(">i", encoded, LAST_OFFSET_DELTA, last)
    struct.pack_into(">I", encoded, CRC, calc_crc32c(bytes(encoded[SUMMED:])))
    batch._relative_offset = len(offsets)
    return batch


async def test_offsets_that_records_claim_do_not_move_the_worker(
    victim: Victim, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> None:
    """It passed over what others wrote up to such an offset, or ended at a negative one."""
    others = Records(13)
    places: list[int] = []

    async def set_aside() -> bool:
        return [one.offset for one in await letters(kafka_url, prefix)] == places

    async with compressing(kafka_url, None) as attacker, producer(kafka_url) as kafka:
        for last in (-1, 7):
            with pytest.raises(UnknownError):  # aiokafka does not know INVALID_RECORD
                await (await attacker.send_batch(claiming((0,), last), victim.topic, partition=0))
        for offsets in ((30,), (0, 1000), (0, -1_000_000), (1, 0), (0, 0)):
            batch = claiming(offsets, len(offsets) - 1)
            sent = await (await attacker.send_batch(batch, victim.topic, partition=0))
            places.append(sent.offset + len(offsets) - 1)
            await until(set_aside, "the batch is set aside", within=SOON)
            await kafka.records(victim.topic, others.many(40))
        await victim.still_works()

    assert {one.reason for one in await letters(kafka_url, prefix)} == {RejectReason.UNREADABLE}
    assert kafka.expected.keys() <= (await stored(couchdb_url, database)).keys()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_batch_that_unpacks_to_hundreds_of_megabytes_is_set_aside_as_it_is(
    victim: Victim, kafka_url: str, prefix: str, codec: str
) -> None:
    sizes = (40, 100) if codec == "snappy" else (40, 300)  # of snappy, 300 MB need more than 10
    async with compressing(kafka_url, codec) as kafka:
        places = [
            (await kafka.send_and_wait(victim.topic, bytes(size * MIB))).offset for size in sizes
        ]
    await victim.still_works()

    kept = await letters(kafka_url, prefix)
    assert [(one.offset, one.reason) for one in kept] == [
        (place, RejectReason.UNREADABLE) for place in places
    ]
    assert all("SHA-256" in one.detail and f"offset {one.offset}" in one.detail for one in kept)
    assert peak_memory(victim.worker) < MEMORY


async def test_a_letter_that_fits_nowhere_leaves_its_place_and_hash(
    worker: StartWorker,
    admin: Admin,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic, dead_letters = f"{prefix}completed0", f"{prefix}persister-dead-letters"
    await admin.create_topic(topic, max_message_bytes=str(10 * MIB))
    await admin.create_topic(dead_letters, max_message_bytes=str(MIB))
    running = await worker(partitions=1)
    async with producer(kafka_url) as kafka:
        sent = await kafka.send(topic, secrets.token_bytes(3 * MIB))
    await Victim(running, kafka_url, couchdb_url, (topic, database)).still_works()

    (kept,) = await letters(kafka_url, prefix)
    assert (kept.offset, kept.value) == (sent.offset, None)
    assert (kept.left_out or "").startswith(f"{3 * MIB} bytes, SHA-256 ")
