"""A turn of the loop is one piece long, and each client has turns, however many its connections."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openwhisk.gateway import turns
from openwhisk.gateway.records import Record, Taking
from openwhisk.gateway.turns import Steps, Turns, single
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import DATABASE, document, encoded


class Load:
    """Work of clients, whose pieces take as long as is said.

    Attributes:
        done: the owner of each piece, in order.
        per_turn: how many pieces there were in each turn of the loop.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = Turns(lambda: self.now)
        self.done: list[str] = []
        self.per_turn: Counter[int] = Counter()
        self._turn = 0
        self._asking: list[asyncio.Task[str]] = []

    def ask(self, owner: str, pieces: int, *, length: float) -> asyncio.Task[str]:
        """A request of so many pieces of some seconds."""
        asking = asyncio.create_task(self.turns.run(owner, self._work(owner, pieces, length)))
        self._asking.append(asking)
        return asking

    async def end(self) -> None:
        """Return when all is done."""
        while not all(asking.done() for asking in self._asking):
            await asyncio.sleep(0)
            self._turn += 1

    def _work(self, owner: str, pieces: int, length: float) -> Steps[str]:
        for piece in range(pieces):
            self.done.append(owner)
            self.per_turn[self._turn] += 1
            self.now += length
            if piece < pieces - 1:
                yield
        return f"done for {owner}"


@pytest.fixture
def load() -> Load:
    return Load()


@pytest.mark.parametrize("connections", [1, 8, 60])
async def test_more_connections_do_not_give_more_turns(load: Load, connections: int) -> None:
    for _ in range(connections):
        load.ask("many", 50, length=turns.TURN)
    await asyncio.sleep(0)
    load.done.clear()
    one, other = load.ask("one", 3, length=turns.TURN), load.ask("other", 3, length=turns.TURN)
    await asyncio.wait({one, other})
    last = max(at for at, owner in enumerate(load.done) if owner != "many")
    assert load.done[:last].count("many") <= 4
    await load.end()


async def test_requests_of_one_client_have_turns_too(load: Load) -> None:
    load.ask("a", 1000, length=turns.TURN)
    await asyncio.sleep(0)
    assert await load.ask("a", 1, length=turns.TURN) == "done for a"
    assert len(load.done) < 8
    await load.end()


@pytest.mark.parametrize(
    "length,most", [(turns.TURN, 1), (10 * turns.TURN, 1), (turns.TURN / 4, 4)]
)
async def test_a_turn_is_one_long_piece_or_a_few_short_ones_of_all_requests(
    load: Load, length: float, most: int
) -> None:
    for number in range(20):
        load.ask(f"client {number % 5}", 10, length=length)
    await load.end()
    assert len(load.done) == 200
    assert max(load.per_turn.values()) == most


async def test_a_short_piece_does_not_wait(load: Load) -> None:
    for _ in range(3):
        running = load.turns.run("a", single(len, "four"))
        with pytest.raises(StopIteration) as returned:
            running.send(None)
        assert returned.value.value == 4


async def test_work_of_those_who_have_left_is_not_done(load: Load) -> None:
    staying = load.ask("stays", 3, length=turns.TURN)
    leaving = [load.ask("leaves", 100, length=turns.TURN) for _ in range(3)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    assert await staying == "done for stays"
    assert load.done.count("leaves") <= 1
    assert await load.ask("leaves", 1, length=turns.TURN) == "done for leaves"


@pytest.mark.parametrize("busy", [True, False])
async def test_an_error_is_the_askers(load: Load, *, busy: bool) -> None:
    if busy:
        load.ask("other", 3, length=turns.TURN)
        await asyncio.sleep(0)
    with pytest.raises(ValueError, match="invalid literal"):
        await load.turns.run("a", single(int, "x"))
    assert await load.turns.run("a", single(int, "7")) == 7
    await load.end()


async def sent(gateway: Any, documents: list[bytes]) -> int:
    async with gateway.client.post(
        f"{gateway.url}/{DATABASE}/_bulk_docs",
        data=b'{"docs":[%b]}' % b",".join(documents),
        headers={"Content-Type": "application/json", "Authorization": "Basic d2hpc2s6c2VjcmV0"},
    ) as answer:
        return int(answer.status)


async def in_turns_of_the_loop(work: Awaitable[Any], called: Callable[[int], None]) -> None:
    """Await something, and tell the number of each turn of the loop as it begins."""
    waiting = asyncio.ensure_future(work)
    number = 0
    while not waiting.done():
        called(number)
        number += 1
        await asyncio.sleep(0)
    await waiting


async def test_all_requests_of_a_gateway_share_a_turn(
    start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of eight requests under way, each looked at some documents in every turn."""
    turn, looked, take = 0, list[int](), Taking.take

    def counted(self: Taking, *arguments: Any) -> Record | None:
        looked.append(turn)
        return take(self, *arguments)

    def begins(number: int) -> None:
        nonlocal turn
        turn = number

    monkeypatch.setattr(Taking, "take", counted)
    monkeypatch.setattr(turns, "TURN", 0.0)  # one piece fills it
    gateway = await start()
    bodies = [[encoded(document()) for _ in range(20)] for _ in range(8)]
    await in_turns_of_the_loop(
        asyncio.gather(*(sent(gateway, documents) for documents in bodies)), begins
    )
    assert len(looked) == 160
    assert max(Counter(looked).values()) == 1
