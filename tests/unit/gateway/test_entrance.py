"""Whoever asks on many connections at once makes only their own requests wait."""

import asyncio

from openwhisk.gateway.entrance import AT_ONCE, Entrance


async def many(entrance: Entrance, order: list[str], requests: int) -> list[asyncio.Task[None]]:
    """So many requests of one address, all of which have come."""

    async def ask() -> None:
        await entrance.enter("many")
        order.append("many")

    asking = [asyncio.create_task(ask()) for _ in range(requests)]
    await asyncio.sleep(0)
    return asking


async def test_a_few_of_each_address_begin_in_a_turn() -> None:
    entrance, order = Entrance(), list[str]()
    asking = await many(entrance, order, 100)
    assert len(order) == AT_ONCE
    for begun in (2, 3, 4):
        await entrance.enter("other")
        order.append("other")
        await asyncio.sleep(0)
        assert order.count("many") <= begun * AT_ONCE
    await asyncio.gather(*asking)
    assert order.count("many") == 100


async def test_those_who_ask_seldom_do_not_wait() -> None:
    entrance = Entrance()
    for _ in range(AT_ONCE):
        entering = entrance.enter("a")
        try:
            entering.send(None)
        except StopIteration:
            continue
        raise AssertionError("it waits")


async def test_those_who_have_left_take_no_turn() -> None:
    entrance, order = Entrance(), list[str]()
    asking = await many(entrance, order, 50)
    for leaving in asking[AT_ONCE:-1]:
        leaving.cancel()
    await asking[-1]
    assert len(order) == AT_ONCE + 1
    await entrance.enter("many")
