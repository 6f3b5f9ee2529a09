"""Who waits for all records that are not stored yet, while the persister lags behind."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pytest

from openwhisk.gateway.on_the_wire import OnTheWire
from openwhisk.gateway.reads import NotStoredYet, Reads
from openwhisk.gateway.recent import Recent
from openwhisk.gateway.records import Record
from tests.fakes.time import VirtualTimeLoop

if TYPE_CHECKING:
    from openwhisk.gateway.metrics import Metrics
    from openwhisk.gateway.upstream import Upstream

PATIENCE = 10.0


class Lagging:
    """A CouchDB that has each record so many seconds after it was accepted."""

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._accepted: dict[str, float] = {}
        self.slow: dict[str, float] = {}
        """Seconds for an answer, by user."""

    def accept(self, document_id: str) -> Record:
        self._accepted[document_id] = _now()
        return Record(document_id, b"", 0, b"{}", "1-a")

    async def stored(self, ids: Sequence[str], headers: Mapping[str, str]) -> frozenset[str]:
        await asyncio.sleep(self.slow.get(headers["user"], 0.005))
        return frozenset(one for one in ids if self._accepted[one] + self._lag <= _now())


def _now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    made = VirtualTimeLoop()
    yield made
    made.close()


def reading(couchdb: Lagging) -> tuple[Reads, Recent]:
    recent = Recent(32 << 20, 60, clock=_now)
    on_the_wire = OnTheWire(60, clock=_now)
    upstream, metrics = cast("Upstream", couchdb), cast("Metrics", None)
    reads = Reads(recent, on_the_wire, upstream, patience=PATIENCE, metrics=metrics, clock=_now)
    return reads, recent


async def waited(couchdb: Lagging, users: Sequence[str]) -> dict[str, int]:
    """How many requests of each user were answered, of 40 that came while records went on."""
    reads, recent = reading(couchdb)
    answered = dict.fromkeys(users, 0)

    async def write() -> None:
        for number in range(10_000):
            recent.add(couchdb.accept(str(number)))
            await asyncio.sleep(0.02)

    async def change(user: str) -> None:
        try:
            await reads.all_stored({"user": user}, user)
        except NotStoredYet:
            return
        answered[user] += 1

    writing = asyncio.ensure_future(write())
    await asyncio.sleep(PATIENCE)
    changes = []
    for _ in range(40):
        changes += [asyncio.ensure_future(change(user)) for user in users]
        await asyncio.sleep(PATIENCE / 40)
    await asyncio.gather(*changes)
    writing.cancel()
    return answered


@pytest.mark.parametrize("lag", [0.1, 3, 6, 9])
def test_a_persister_that_lags_less_than_the_patience_is_waited_for(
    loop: VirtualTimeLoop, lag: float
) -> None:
    """Those who join another one wait for little more than what was accepted before them."""
    assert loop.run_until_complete(waited(Lagging(lag), ["a"])) == {"a": 40}


def test_whoever_is_answered_slowly_holds_up_nobody_else(loop: VirtualTimeLoop) -> None:
    couchdb = Lagging(3)
    couchdb.slow["slow"] = 20
    assert loop.run_until_complete(waited(couchdb, ["slow", "a"])) == {"slow": 0, "a": 40}


def test_who_waits_for_nothing_does_not_wait_for_others_to_join(loop: VirtualTimeLoop) -> None:
    async def wait() -> float:
        reads, _ = reading(Lagging(0))
        await reads.all_stored({"user": "a"}, "a")
        return _now()

    began = loop.time()
    assert loop.run_until_complete(wait()) == began
