"""The storing step on the writer with a maximum rate, in virtual time."""

import asyncio
import itertools
import json
from typing import Any, cast

import pytest

from app.couchdb import BulkWriter
from app.dead_letters import DeadLetters
from app.monitoring.outcomes import Outcomes
from app.settings import GuardSettings, StoreBreakerSettings, WorkerSettings
from app.storing.breaker import StoreBreaker
from app.storing.guard import Guard
from app.storing.step import StoringStep
from tests.fakes.couchdb import FakeCouchDB
from tests.fakes.time import LoopTime
from tests.support import Event, Producer, chunk
from tests.unit.couchdb.conftest import MakeWriter

GOOD = 40


def body(number: int, *, bad: bool) -> bytes:
    return json.dumps({"_id": f"guest/{number:032x}", "bad": bad}).encode()


def storing(
    writer: BulkWriter, letters: Producer, paced: int | None = None, **settings: Any
) -> StoringStep:
    time, table = LoopTime(), dict[str, bytes]()
    guard = Guard(table, GuardSettings(), clock=lambda: 1000.0, forget=table.__delitem__)
    guard.assign([0, 1])
    return StoringStep(
        guard,
        writer,
        DeadLetters(cast("Any", letters), "dead-letters"),
        Outcomes(),
        WorkerSettings(**settings),
        breaker=StoreBreaker(
            StoreBreakerSettings(),
            documents_per_second=paced or 0.0,
            clock=time.clock,
            sleep=time.sleep,
        ),
        paced=paced,
    )


@pytest.mark.virtual_time
@pytest.mark.parametrize("rate, bad", [(1, 12), (2, 14), (5, 30), (10, 45), (10, 52), (10, 60)])
async def test_a_run_of_bad_records_ends_and_what_comes_after_it_is_stored(
    couchdb: FakeCouchDB,
    make_writer: MakeWriter,
    settings: Any,
    rate: int,
    bad: int,
) -> None:
    couchdb.validate = lambda one: (
        {"error": "unknown_error", "reason": "boom"} if one.get("bad") else None
    )
    most = settings(documents_per_second=rate).documents_of_a_second
    writer = await make_writer(LoopTime(), documents_per_second=rate)
    letters = Producer()
    step = storing(writer, letters, most)
    await step.start()
    bodies = [body(number, bad=5 <= number < 5 + bad) for number in range(5 + bad + GOOD)]
    events = []
    async with asyncio.timeout(3600):
        for at in range(0, len(bodies), most):
            events.append(Event(chunk(*bodies[at : at + most], first_offset=at)))
            await step.submit(events[-1])
        for event in events:
            await event.acked.wait()
    stored = sum(name.startswith("guest/") for name in couchdb.databases["activations"])
    assert (stored, len(letters.sent["dead-letters"])) == (5 + GOOD, bad)
    await step.stop()


@pytest.mark.virtual_time
@pytest.mark.parametrize("good_of_ten", [4, 2])
async def test_a_reason_for_most_documents_holds_them_at_a_rate_that_is_low_for_the_window(
    couchdb: FakeCouchDB, make_writer: MakeWriter, good_of_ten: int
) -> None:
    couchdb.validate = lambda one: (
        {"error": "unknown_error", "reason": "boom"} if one.get("bad") else None
    )
    step = storing(await make_writer(LoopTime(), documents_per_second=2), letters := Producer(), 2)
    await step.start()

    async def feed() -> None:
        for at in itertools.count(step=2):
            bodies = [body(number, bad=number % 10 >= good_of_ten) for number in (at, at + 1)]
            await step.submit(Event(chunk(*bodies, first_offset=at)))

    feeding = asyncio.create_task(feed())
    async with asyncio.timeout(3600):
        while not step.breaker.reasons():  # noqa: ASYNC110 - a breaker has no event
            await asyncio.sleep(1)
    assert len(letters.sent["dead-letters"]) <= StoreBreakerSettings().minimum
    feeding.cancel()
    await step.stop()
