import asyncio

import pytest

from app.kafka.byte_budget import ByteBudget


async def test_waiters_are_served_in_order() -> None:
    budget = ByteBudget(10)
    await budget.acquire(8)
    large = asyncio.create_task(budget.acquire(5))
    small = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done()
    budget.release(8)
    await asyncio.gather(large, small)
    assert budget.in_flight == 6


async def test_what_exceeds_it_goes_alone() -> None:
    budget = ByteBudget(10)
    await budget.acquire(100)
    after = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not after.done()
    budget.release(100)
    await after


async def test_who_stops_waiting_holds_nothing_and_lets_others_pass() -> None:
    budget = ByteBudget(10)
    await budget.acquire(8)
    large = asyncio.create_task(budget.acquire(5))
    small = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    large.cancel()
    await small
    assert budget.in_flight == 9
    budget.release(9)
    assert budget.in_flight == 0


async def test_who_stops_just_when_admitted_gives_it_back() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiter = asyncio.create_task(budget.acquire(10))
    await asyncio.sleep(0)
    budget.release(10)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert budget.in_flight == 0


async def test_who_stops_while_others_are_admitted_has_left_already() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiters = [asyncio.create_task(budget.acquire(10)) for _ in range(3)]
    await asyncio.sleep(0)
    for waiter in waiters[:2]:
        waiter.cancel()
    budget.release(10)
    await asyncio.wait(waiters)
    assert [waiter.cancelled() for waiter in waiters] == [True, True, False]
    assert budget.in_flight == 10
