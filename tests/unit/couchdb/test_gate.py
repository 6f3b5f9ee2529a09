import asyncio

import pytest

from app.couchdb.gate import PACED, PAUSED, Gate
from app.couchdb.pace import ConcurrencyLimit, RateLimit
from tests.fakes.time import Steps, Time


def make(time: Time, *, rate: float = 0.0) -> tuple[Gate, ConcurrencyLimit]:
    limit = ConcurrencyLimit(4)
    return Gate(limit, RateLimit(rate), clock=time.clock, sleep=time.sleep), limit


async def spin() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_waits_for_a_place(time: Time) -> None:
    gate, _ = make(time)
    async with gate.admit(1):
        second = asyncio.create_task(gate.admit(1).__aenter__())
        await spin()
        assert not second.done()
    assert (await second).in_flight == 1


async def test_one_request_goes_beside_large_ones_that_have_all_places(time: Time) -> None:
    gate, _ = make(time)
    async with gate.admit(1, large=True), gate.admit(1):
        waiting = [
            asyncio.create_task(gate.admit(1, large=large).__aenter__()) for large in (False, True)
        ]
        await spin()
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()


async def test_a_cancelled_wait_takes_no_place(time: Time) -> None:
    gate, _ = make(time)
    async with gate.admit(1):
        second = asyncio.create_task(gate.admit(1).__aenter__())
        await spin()
        second.cancel()
        await spin()
    assert gate.in_flight == 0
    async with gate.admit(1) as admission:
        assert admission.in_flight == 1


async def hold(gate: Gate, admitted: list[str], name: str, *, large: bool = False) -> None:
    async with gate.admit(1, large=large):
        admitted.append(name)
        await asyncio.get_running_loop().create_future()


async def test_one_that_is_cancelled_with_a_place_gives_it_to_the_next(time: Time) -> None:
    gate, _ = make(time)
    admitted: list[str] = []
    async with gate.admit(1):
        first, second = [asyncio.create_task(hold(gate, admitted, name)) for name in "ab"]
        await spin()
    first.cancel()
    await spin()
    assert admitted == ["b"]
    second.cancel()


async def test_a_large_one_is_let_in_and_one_of_the_others_beside_it(time: Time) -> None:
    gate, _ = make(time)
    admitted: list[str] = []
    async with gate.admit(1):
        tasks = [
            asyncio.create_task(hold(gate, admitted, name, large=name.isupper())) for name in "ABcd"
        ]
        await spin()
    await spin()
    assert admitted == ["A", "c"]
    for task in tasks:
        task.cancel()


async def test_those_that_wait_are_let_in_in_order_and_looked_at_once_each(time: Time) -> None:
    """Each end had woken all of them: with thousands, seconds of work."""
    looked = 0

    class Counted(ConcurrencyLimit):
        @property
        def current(self) -> int:
            nonlocal looked
            looked += 1
            return super().current

    gate = Gate(Counted(4), RateLimit(0.0), clock=time.clock, sleep=time.sleep)
    admitted: list[int] = []

    async def request(number: int) -> None:
        async with gate.admit(1):
            admitted.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(request, range(200)))
    assert admitted == list(range(200))
    assert looked < 200 * 5


async def test_a_failed_request_gives_its_place_back(time: Time) -> None:
    gate, _ = make(time)
    with pytest.raises(RuntimeError, match="broken"):
        async with gate.admit(1):
            raise RuntimeError("broken")
    assert gate.in_flight == 0


async def test_what_goes_beside_takes_no_place_and_is_not_counted(time: Time) -> None:
    gate, _ = make(time)
    async with gate.admit(1, beside=True):
        async with gate.admit(1) as admission:
            assert admission.in_flight == 1
        assert gate.in_flight == 0
    assert gate.in_flight == 0


async def test_nothing_is_admitted_during_a_pause(time: Time) -> None:
    gate, _ = make(time)
    gate.close_for(30.0)
    gate.close_for(5.0)
    async with gate.admit(1) as admission:
        assert admission.started == pytest.approx(1030.0)


async def test_documents_wait_for_the_rate(time: Time) -> None:
    gate, _ = make(time, rate=10.0)
    for _ in range(3):
        async with gate.admit(10):
            pass
    assert time.now == pytest.approx(1002.0)


@pytest.mark.parametrize("reason", [PACED, PAUSED])
async def test_it_says_what_is_waited_for_on_purpose_while_nothing_is_under_way(
    time: Time, reason: str
) -> None:
    steps = Steps()
    gate = Gate(risen(), RateLimit(1.0), clock=time.clock, sleep=steps.sleep)
    assert gate.waits == ""
    async with gate.admit(1):
        if reason == PAUSED:
            gate.close_for(30.0)
        second = asyncio.create_task(gate.admit(1).__aenter__())
        await spin()
        assert steps.asked, "it waits"
        assert (gate.waits, gate.in_flight) == ("", 1), "what is under way may be waited for, too"
    assert (gate.waits, gate.in_flight) == (reason, 0)
    time.now += 60.0
    second.cancel()
    await spin()
    assert gate.waits == ""


def risen() -> ConcurrencyLimit:
    """A limit that lets two requests be under way."""
    limit = ConcurrencyLimit(2)
    limit.answered(started=0.0, ended=1.0, in_flight=1, documents=1, size=1)
    return limit
