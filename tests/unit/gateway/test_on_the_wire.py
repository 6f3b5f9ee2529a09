"""Documents whose records may still reach Kafka."""

import asyncio
import tracemalloc

import pytest

from openwhisk.gateway.on_the_wire import OnTheWire
from tests.fakes.time import Clock

SECONDS = 60.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def on_the_wire(clock: Clock) -> OnTheWire:
    return OnTheWire(SECONDS, clock)


async def settle(*records: asyncio.Future[None]) -> None:
    for one in records:
        one.set_result(None)
    await asyncio.sleep(0)


async def test_they_are_remembered_until_the_persister_has_had_its_time(
    on_the_wire: OnTheWire, clock: Clock
) -> None:
    settled = asyncio.get_running_loop().create_future()
    assert not on_the_wire
    on_the_wire.add(["a", "b"], settled)
    clock.now += 10 * SECONDS
    assert on_the_wire
    assert "a" in on_the_wire
    assert "c" not in on_the_wire
    await settle(settled)
    clock.now += SECONDS - 1
    assert "b" in on_the_wire
    clock.now += 1
    assert "b" not in on_the_wire
    assert not on_the_wire


async def test_one_that_was_sent_twice_counts_from_its_last_arrival(
    on_the_wire: OnTheWire, clock: Clock
) -> None:
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))
    on_the_wire.add(["a", "b"], first)
    on_the_wire.add(["a"], second)
    await settle(first)
    clock.now += SECONDS
    assert "b" not in on_the_wire
    assert "a" in on_the_wire
    await settle(second)
    clock.now += SECONDS - 1
    assert "a" in on_the_wire
    clock.now += 1
    assert not on_the_wire


async def test_those_that_are_written_to_couchdb_are_known_until_the_persister_has_met_them(
    on_the_wire: OnTheWire, clock: Clock
) -> None:
    settled = asyncio.get_running_loop().create_future()
    on_the_wire.add(["a", "b"], settled)
    on_the_wire.arrived(["a", "c"])
    on_the_wire.write(["a", "c", "d"])
    assert [name for name in "abcd" if on_the_wire.is_written(name)] == ["a", "c"]
    clock.now += SECONDS
    assert [name for name in "abcd" if on_the_wire.is_written(name)] == ["a"]
    await settle(settled)
    assert [name for name in "abcd" if on_the_wire.is_written(name)] == ["a"]
    clock.now += SECONDS
    assert not on_the_wire
    assert not on_the_wire.is_written("a")


async def test_what_is_written_to_couchdb_may_be_sent_to_kafka_later(
    on_the_wire: OnTheWire, clock: Clock
) -> None:
    on_the_wire.write(["a", "b"])
    assert not on_the_wire
    assert on_the_wire.written("abc") == ["a", "b"]
    clock.now += 10 * SECONDS
    assert not on_the_wire.is_written("a")
    on_the_wire.arrived("ac")
    assert [name for name in "abc" if on_the_wire.is_written(name)] == ["a"]


async def test_what_is_written_to_couchdb_is_bounded_but_for_what_is_on_the_wire(
    on_the_wire: OnTheWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openwhisk.gateway.on_the_wire.MOST_WRITTEN", 3)
    on_the_wire.arrived(["a"])
    on_the_wire.write("abcdefg")
    assert on_the_wire.written("abcdefg") == ["a", "f", "g"]
    assert on_the_wire.is_written("a")


async def test_whoever_asks_for_one_has_no_list_made_of_all(on_the_wire: OnTheWire) -> None:
    """Hundreds may ask at once, and there may be tens of thousands."""
    settled = asyncio.get_running_loop().create_future()
    on_the_wire.add([str(number) for number in range(5000)], settled)
    on_the_wire.arrived(str(number) for number in range(4000, 10_000))
    assert set(on_the_wire) == {str(number) for number in range(10_000)}
    tracemalloc.start()
    try:
        assert next(iter(on_the_wire)) == "0"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    await settle(settled)
