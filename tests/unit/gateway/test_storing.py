"""What Kafka has, or may get yet, is remembered if CouchDB is written to as well."""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest

from app.kafka.byte_budget import ByteBudget
from app.settings import LogMode
from models.roles import TopicRole
from openwhisk.gateway.credentials import Refusal
from openwhisk.gateway.fallback import Fallback, Switch
from openwhisk.gateway.log_mode import LogModeWatch
from openwhisk.gateway.metrics import Metrics
from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.records import Record, Taking
from openwhisk.gateway.shares import Shares
from openwhisk.gateway.storing import NotStored, Storing
from openwhisk.gateway.upstream import (
    BulkAnswer,
    RefusedError,
    TooLongError,
    Upstream,
    UpstreamError,
)
from openwhisk.publisher import NotAcknowledged, Outcomes, PublishError, TakenBack
from tests.support import longest_turn
from tests.unit.gateway.doubles import document

LARGE = 100_000_000
ACKNOWLEDGED = None
FAILED = NotAcknowledged("as told")

Publish = Callable[[Outcomes], Awaitable[None]]


class Kafka:
    """Does with the records of each publication what it is told; waits for ever without."""

    def __init__(self, *publish: Publish) -> None:
        self._publish = list(publish)

    async def publish_all(
        self,
        topic: str,
        values: Sequence[bytes],
        timestamps: Sequence[int],
        keys: Sequence[bytes],
        outcomes: Outcomes,
    ) -> list[PublishError | None]:
        assert topic
        assert len(values) == len(timestamps) == len(keys)
        if self._publish:
            await self._publish.pop(0)(outcomes)
        else:
            await forever()
        return outcomes.all(FAILED)


def encoded(stored: dict[str, Any] | bytes | None) -> bytes | None:
    return msgspec.json.encode(stored) if isinstance(stored, dict) else stored


class CouchDB:
    """Stores all, in a moment or when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()
        self.refusals: list[Refusal] = []
        """Of the next readers."""
        self.read: list[Sequence[str]] = []
        """The ids that were asked for together."""
        self.stored: dict[str, dict[str, Any] | bytes] = {}
        self.together = LARGE
        """Bytes of several documents that can be read together."""
        self.entries: Callable[[Sequence[bytes]], list[bytes]] = lambda documents: [
            json.dumps({"ok": True, "id": json.loads(one)["_id"], "rev": "1-a"}).encode()
            for one in documents
        ]

    async def write(self, documents: Sequence[bytes], _: Mapping[str, str]) -> BulkAnswer:
        self.asked.set()
        await self.answering.wait()
        return BulkAnswer(201, b"", self.entries(documents))

    async def documents(self, ids: Sequence[str], _: Mapping[str, str]) -> list[msgspec.Raw | None]:
        if self.refusals:
            raise RefusedError(self.refusals.pop())
        found = [encoded(self.stored.get(one)) for one in ids]
        if len(ids) > 1 and sum(len(one) for one in found if one) > self.together:
            raise TooLongError
        self.read.append(ids)
        return [None if one is None else msgspec.Raw(one) for one in found]


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def some(*known: PublishError | None, then: Callable[[], Awaitable[None]] | None = None) -> Publish:
    """What became of the first records of a publication, and what it waits for after that."""

    async def publish(outcomes: Outcomes) -> None:
        for place, error in enumerate(known):
            outcomes.set(place, error)
        if then is not None:
            await then()

    return publish


class Room:
    """Stores records, and knows what is remembered."""

    def __init__(self, *publish: Publish, patience: float = 0.01) -> None:
        self.couchdb = CouchDB()
        self.recent = Recent(LARGE, 60)
        self.on_the_wire = OnTheWire(60)
        self.switch = Switch(Fallback.COUCHDB)
        watch = LogModeWatch(LogMode.SEPARATE)
        self._storing = Storing(
            Kafka(*publish),
            "topic",
            upstream=cast("Upstream", self.couchdb),
            switch=self.switch,
            patience=patience,
            deadline=max(0.05, patience),
            recent=self.recent,
            on_the_wire=self.on_the_wire,
            metrics=Metrics(Shares(LARGE), ByteBudget(LARGE), self.recent, self.switch, watch),
        )

    async def store(self, records: Sequence[Record]) -> list[bytes | None]:
        return await self._storing.store(records, {})

    def written(self, records: Sequence[Record]) -> list[bool]:
        """Of which documents it is known that the persister may store them over a tombstone."""
        return [self.on_the_wire.is_written(record.id) for record in records]


@pytest.fixture
def records() -> list[Record]:
    taking = Taking(TopicRole.OTHERS, LARGE, lambda _: None)
    now = int(time.time() * 1000)
    taken = [taking.take(json.dumps(document()).encode(), now) for _ in range(2)]
    return [record for record in taken if record is not None]


async def test_what_is_acknowledged_is_no_trouble(records: list[Record]) -> None:
    room = Room(some(ACKNOWLEDGED, ACKNOWLEDGED))
    assert all(await room.store(records))
    assert not room.on_the_wire
    assert all(room.recent.get(record.id) for record in records)


async def test_nobody_waits_for_many_records(records: list[Record]) -> None:
    many = [msgspec.structs.replace(records[0], id=f"guest/{number}") for number in range(9900)]
    room = Room(some(*[ACKNOWLEDGED] * len(many)), patience=60)
    storing = asyncio.create_task(room.store(many))
    assert await longest_turn(storing) < 0.15
    assert len(await storing) == len(many)


def test_the_cycle_collector_passes_records_over(records: list[Record]) -> None:
    # It takes tens of milliseconds for tens of thousands, in the middle of anything.
    assert not any(map(gc.is_tracked, records))


async def test_what_was_acknowledged_of_a_publication_that_is_given_up(
    records: list[Record],
) -> None:
    room = Room(some(ACKNOWLEDGED, then=forever))
    assert all(await room.store(records))
    # The second one as well, at once: its client may delete it as soon as it has the answer.
    assert room.written(records) == [True, True]
    assert room.switch.away_since is not None


async def test_what_was_acknowledged_of_a_publication_that_failed_in_part(
    records: list[Record],
) -> None:
    room = Room(some(ACKNOWLEDGED, TakenBack("as told")))
    assert all(await room.store(records))
    assert room.written(records) == [True, False]
    assert room.switch.away_since is not None


async def test_what_may_have_arrived_though_it_failed(records: list[Record]) -> None:
    room = Room(some(FAILED, TakenBack("as told")))
    assert all(await room.store(records))
    assert room.written(records) == [True, False]


@pytest.mark.parametrize("turns", range(6))
async def test_what_is_acknowledged_as_its_client_leaves(
    records: list[Record], turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.process.turn.SECONDS", 0.0)  # others get a turn after each record
    acknowledging = asyncio.Event()

    async def late(outcomes: Outcomes) -> None:
        await acknowledging.wait()
        await some(ACKNOWLEDGED, ACKNOWLEDGED)(outcomes)

    room = Room(late, patience=60)
    storing = asyncio.ensure_future(room.store(records))
    for _ in range(3):
        await asyncio.sleep(0)
    acknowledging.set()
    await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    storing.cancel()
    await asyncio.wait([storing])
    await asyncio.sleep(0)
    for record in records:
        assert record.id in room.on_the_wire or room.recent.get(record.id) is not None


async def test_what_a_client_that_left_sends_again_once_kafka_is_back(
    records: list[Record],
) -> None:
    """CouchDB had stored the first one, so that it has it proves nothing."""
    room = Room(some(ACKNOWLEDGED, ACKNOWLEDGED))
    room.couchdb.answering.clear()
    room.switch.late("as told")
    first = asyncio.ensure_future(room.store(records[:1]))
    await room.couchdb.asked.wait()
    first.cancel()
    await asyncio.wait([first])
    room.switch.acknowledged()
    assert all(await room.store(records))
    assert room.written(records) == [True, False]


async def test_what_kafka_has_taken_and_couchdb_is_given_again(records: list[Record]) -> None:
    room = Room(some(ACKNOWLEDGED))
    assert all(await room.store(records[:1]))
    room.switch.late("as told")
    assert all(await room.store(records))
    assert room.written(records) == [True, False]


async def test_what_is_acknowledged_while_couchdb_is_written_to(records: list[Record]) -> None:
    acknowledging = asyncio.Event()

    async def late(outcomes: Outcomes) -> None:
        await acknowledging.wait()
        await some(ACKNOWLEDGED, ACKNOWLEDGED)(outcomes)

    room = Room(late)
    room.couchdb.answering.clear()
    storing = asyncio.ensure_future(room.store(records))
    await room.couchdb.asked.wait()
    acknowledging.set()
    while room.switch.away_since is not None:  # noqa: ASYNC110 - it takes Kafka for back
        await asyncio.sleep(0)
    room.couchdb.answering.set()
    assert all(await storing)
    assert room.written(records) == [True, True]


async def test_what_reached_kafka_before_it_was_sent_again(records: list[Record]) -> None:
    """A client that gave up, and whose second attempt is written to CouchDB."""
    room = Room(some(then=forever))
    room.couchdb.answering.clear()
    first = asyncio.ensure_future(room.store(records[:1]))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await asyncio.sleep(0)
    assert records[0].id in room.on_the_wire
    assert room.written(records) == [False, False]
    room.couchdb.answering.set()
    room.switch.late("as told")
    assert all(await room.store(records))
    assert room.written(records) == [True, False]


def conflict(documents: Sequence[bytes]) -> list[bytes]:
    ids = [json.loads(one)["_id"] for one in documents]
    return [json.dumps({"id": one, "error": "conflict", "reason": ""}).encode() for one in ids]


@pytest.mark.parametrize("refused", ["for a moment", "for good"])
async def test_a_refusal_to_be_read_that_may_pass_is_no_answer(
    records: list[Record], refused: str
) -> None:
    room = Room(some(FAILED, FAILED))
    room.couchdb.entries = conflict
    reason = "Account is temporarily locked" if refused == "for a moment" else "not you"
    body = json.dumps({"error": "forbidden", "reason": reason}).encode()
    room.couchdb.refusals = [Refusal(403, body)]
    with pytest.raises(NotStored if refused == "for a moment" else RefusedError):
        await room.store(records)


@pytest.mark.parametrize(
    "number,size,together", [(1000, 0, None), (3, 100_000, [1, 1, 1]), (5, 50_000, [2, 2, 1])]
)
async def test_conflicts_are_settled_a_few_at_a_time(
    number: int, size: int, together: list[int] | None
) -> None:
    taking = Taking(TopicRole.OTHERS, LARGE, lambda _: None)
    now = int(time.time() * 1000)
    documents = [document(logs=["x" * size]) for _ in range(number)]
    records = [taking.take(json.dumps(one).encode(), now) for one in documents]
    room = Room(some(*[FAILED] * number))
    room.couchdb.entries = conflict
    room.couchdb.stored = {one["_id"]: {**one, "_rev": "1-a"} for one in documents}
    other = documents[-1]["_id"]
    room.couchdb.stored[other] = {**documents[-1], "_rev": "1-a", "name": "another"}
    entries = await room.store([one for one in records if one is not None])
    assert [b"conflict" in (entry or b"") for entry in entries] == [False] * (number - 1) + [True]
    asked = [len(ids) for ids in room.couchdb.read]
    assert sum(asked) == number
    assert asked == together or (together is None and max(asked) < number / 2)


async def test_what_was_settled_before_reading_failed_stays_settled() -> None:
    taking = Taking(TopicRole.OTHERS, LARGE, lambda _: None)
    now = int(time.time() * 1000)
    documents = [document(logs=["x" * 100_000]) for _ in range(2)]
    records = [taking.take(json.dumps(one).encode(), now) for one in documents]
    room = Room(some(FAILED, FAILED))
    written: list[int] = []

    def entries(those: Sequence[bytes]) -> list[bytes]:
        written.append(len(those))
        return conflict(those)

    async def documents_of(ids: Sequence[str], _: Mapping[str, str]) -> list[msgspec.Raw | None]:
        room.couchdb.read.append(ids)
        if len(room.couchdb.read) == 2:
            raise UpstreamError("as told")
        found = [{**one, "_rev": "1-a"} for one in documents if one["_id"] in ids]
        return [msgspec.Raw(msgspec.json.encode(one)) for one in found]

    room.couchdb.entries = entries
    room.couchdb.documents = documents_of  # type: ignore[method-assign]
    stored = await room.store([one for one in records if one is not None])
    assert all(b'"ok"' in (entry or b"") for entry in stored)
    assert written == [2, 1]


async def test_what_is_stored_is_much_larger_than_the_records() -> None:
    taking = Taking(TopicRole.OTHERS, LARGE, lambda _: None)
    now = int(time.time() * 1000)
    documents = [document() for _ in range(7)]
    records = [taking.take(json.dumps(one).encode(), now) for one in documents]
    room = Room(some(*[FAILED] * len(records)))
    room.couchdb.entries = conflict
    room.couchdb.together = 250_000
    room.couchdb.stored = {
        one["_id"]: {**one, "_rev": "1-a", "logs": ["x" * 100_000]} for one in documents
    }
    entries = await room.store([one for one in records if one is not None])
    assert all(b'"ok"' in (entry or b"") for entry in entries)
    ids = [one["_id"] for one in documents]
    assert room.couchdb.read == [ids[:1], ids[1:3], ids[3:5], ids[5:]]


@pytest.mark.parametrize(
    "stored", [b"[]", b'{"a":"\xff"}', b'{"a":%b1%b}' % (b"[" * 5000, b"]" * 5000)]
)
async def test_a_stored_document_that_cannot_be_read_settles_nothing(
    records: list[Record], stored: bytes
) -> None:
    room = Room(some(FAILED))
    room.couchdb.entries = conflict
    room.couchdb.stored = {records[0].id: stored}
    with pytest.raises(NotStored):
        await room.store(records[:1])
