"""How many documents under diagnosis are tried at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app.couchdb.turns import FEWEST, MOST, Turns

LIMIT = 60.0


def turns(waiting: int, seconds: float) -> Turns:
    """For so many documents, and attempts of so many seconds."""
    made = Turns(LIMIT, lambda: waiting)
    made.took(seconds)
    return made


@pytest.mark.parametrize("waiting, seconds", [(1, 15.0), (24, 5.0), (1000, 0.01)])
def test_few_at_a_time_where_that_is_in_time(waiting: int, seconds: float) -> None:
    assert turns(waiting, seconds).places == FEWEST


@pytest.mark.parametrize("waiting, seconds", [(40, 5.0), (96, 5.0), (20, 15.0)])
def test_as_many_as_give_each_two_attempts_within_the_limit(waiting: int, seconds: float) -> None:
    places = turns(waiting, seconds).places
    assert FEWEST < places <= MOST
    assert 2 * waiting * seconds / places <= LIMIT


def test_never_more_than_the_database_is_to_bear() -> None:
    assert turns(100_000, 15.0).places == MOST


def test_a_time_in_which_the_database_did_not_answer_makes_nobody_hurry() -> None:
    assert turns(1, 600.0).places == FEWEST


@pytest.fixture
async def taken() -> AsyncIterator[tuple[Turns, AsyncExitStack]]:
    """All places are taken until the stack is closed."""
    made = turns(1, 0.01)
    async with AsyncExitStack() as stack:
        for _ in range(FEWEST):
            await stack.enter_async_context(made.turn())
        yield made, stack


async def in_line(turns: Turns, name: str, came: list[str]) -> None:
    async with turns.turn():
        came.append(name)
        await asyncio.sleep(0)


async def test_who_came_first_is_first(taken: tuple[Turns, AsyncExitStack]) -> None:
    made, stack = taken
    came: list[str] = []
    tasks = [asyncio.create_task(in_line(made, name, came)) for name in "abcdefgh"]
    await asyncio.sleep(0)
    assert came == []
    late = asyncio.create_task(in_line(made, "late", came))
    await stack.aclose()
    await asyncio.gather(*tasks, late)
    assert came == [*"abcdefgh", "late"]


async def test_who_gives_up_keeps_no_place(taken: tuple[Turns, AsyncExitStack]) -> None:
    made, stack = taken
    came: list[str] = []
    gone = [asyncio.create_task(in_line(made, "gone", came)) for _ in range(FEWEST + 1)]
    await asyncio.sleep(0)
    gone.pop().cancel()
    await stack.aclose()
    for task in gone:  # each was just handed its place
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await asyncio.gather(*(in_line(made, "next", came) for _ in range(FEWEST)))
    assert came == ["next"] * FEWEST
