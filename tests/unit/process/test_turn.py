import asyncio

import pytest

from app.process.turn import Turn, in_turns


@pytest.fixture(autouse=True)
def over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.process.turn.SECONDS", -1.0)


async def test_of_many_that_take_long_one_goes_on_in_each_turn_of_the_loop() -> None:
    done: list[str] = []
    note = done.append

    async def long(name: str) -> None:
        async for number in in_turns(range(5)):
            note(f"{name}{number}")

    working = [asyncio.create_task(long(name)) for name in "abc"]
    each_turn = []
    while not all(one.done() for one in working):
        before = len(done)
        await asyncio.sleep(0)
        each_turn.append(len(done) - before)
    assert each_turn[0] == 3  # each of them begins
    assert max(each_turn[1:]) == 1
    assert done == [f"{name}{number}" for number in range(5) for name in "abc"]


async def test_one_that_leaves_keeps_nobody_waiting() -> None:
    async def pass_on() -> None:
        await Turn().pass_on()

    waiting = [asyncio.create_task(pass_on()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert [one.cancelled() for one in waiting] == [True, False, False]
    await pass_on()  # the next one, too


def test_what_a_loop_leaves_behind_is_nothing_to_the_next_one() -> None:
    async def left_alone() -> None:
        passing_on = asyncio.create_task(Turn().pass_on())
        await asyncio.sleep(0)
        assert not passing_on.done()

    for _ in range(2):
        asyncio.run(left_alone())
        asyncio.run(Turn().pass_on())
