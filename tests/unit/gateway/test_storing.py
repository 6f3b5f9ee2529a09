"""What Kafka has, or may get yet, is remembered if CouchDB is written to as well."""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

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
from openwhisk.gateway.upstream import BulkAnswer, RefusedError, Upstream
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


class CouchDB:
    """Stores all, in a moment or when it is let."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()
        self.refusals: list[Refusal] = []
        """Of the next readers."""
        self.entries: Callable[[Sequence[bytes]], list[bytes]] = lambda documents: [
            json.dumps({"ok": True, "id": json.loads(one)["_id"], "rev": "1-a"}).encode()
            for one in documents
        ]

    async def write(self, documents: Sequence[bytes], _: Mapping[str, str]) -> BulkAnswer:
        self.asked.set()
        await self.answering.wait()
        return BulkAnswer(201, b"", self.entries(documents))

    async def documents(self, ids: Sequence[str], _: Mapping[str, str]) -> list[None]:
        if self.refusals:
            raise RefusedError(self.refusals.pop())
        return [None] * len(ids)


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
