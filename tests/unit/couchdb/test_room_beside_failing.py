"""Documents that fail leave room for others, which show whose fault it is; in virtual time."""

import asyncio
from typing import Any

import pytest

from tests.fakes.couchdb import FakeCouchDB, fails
from tests.fakes.time import LoopTime, until
from tests.support import Event, Producer, chunk
from tests.unit.couchdb.conftest import MakeWriter
from tests.unit.couchdb.test_storing_at_a_rate import body, storing
from tests.unit.couchdb.test_trouble import document

BAD = 20
SIZE = len(body(0, bad=True))


def boom(content: dict[str, Any]) -> dict[str, str] | None:
    return {"error": "unknown_error", "reason": "boom"} if content.get("bad") else None


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "room", [{"in_flight_documents": BAD}, {"in_flight_bytes": BAD * SIZE}], ids=["number", "bytes"]
)
async def test_others_come_by_where_all_room_is_taken_by_what_fails(
    couchdb: FakeCouchDB, make_writer: MakeWriter, room: dict[str, int]
) -> None:
    """Nothing else was taken, so nothing passed, and nothing that failed could be to blame."""
    couchdb.validate = boom
    writer = await make_writer(LoopTime())
    letters = Producer()
    step = storing(writer, letters, **room)
    await step.start()
    bad = Event(chunk(*(body(number, bad=True) for number in range(BAD))))
    good = Event(chunk(*(body(BAD + number, bad=False) for number in range(20)), partition=1))
    async with asyncio.timeout(600):
        await step.submit(bad)
        await step.submit(good)
        await asyncio.gather(bad.acked.wait(), good.acked.wait())
    assert len(letters.sent["dead-letters"]) == BAD
    await step.stop()


async def test_the_room_beside_what_fails_is_bounded(
    couchdb: FakeCouchDB, make_writer: MakeWriter
) -> None:
    couchdb.validate = boom
    writer = await make_writer()
    step = storing(writer, Producer(), in_flight_documents=10)
    await step.start()
    for at in (0, 10):
        values = [body(number, bad=True) for number in range(at, at + 10)]
        await step.submit(Event(chunk(*values, first_offset=at)))
    more = asyncio.create_task(step.submit(Event(chunk(body(20, bad=True), first_offset=20))))
    requests = len(couchdb.bulk_requests)
    await until(lambda: len(couchdb.bulk_requests) > requests + 5)
    assert not more.done()
    assert step.documents_in_flight == 20
    more.cancel()
    await step.stop()


async def test_a_document_may_be_to_blame_unless_the_database_says_that_it_is(
    couchdb: FakeCouchDB, make_writer: MakeWriter
) -> None:
    writer = await make_writer()
    couchdb.script(*[fails(503)] * 3)
    seen: list[tuple[str, bool]] = []
    writer.requests.on_request = lambda status, _: seen.append((status, writer.failing))
    await writer.write([document("a")])
    assert seen == [("503", False)] * 3 + [("201", False)]
    couchdb.validate = boom
    writing = asyncio.create_task(writer.write([document(f"b{n}", bad=True) for n in range(9)]))
    await writer.next_change()
    await until(lambda: writer.failing)
    await writer.write([document("c")])
    await writing
    assert writer.failing, "they are under diagnosis"
    await until(lambda: not writer.diagnosis.parked)
    assert not writer.failing
