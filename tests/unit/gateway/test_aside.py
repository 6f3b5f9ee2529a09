"""Who asks for a lot waits for it; nobody else does."""

import asyncio
import gc
import threading
import weakref

import pytest

from openwhisk.gateway.aside import Aside


class Held:
    """Work that goes on when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def work(self) -> str:
        self.begun.set()
        assert self.go.wait(10)
        return "done"


async def test_each_has_a_turn_whoever_asks_for_more() -> None:
    aside, order, held = Aside("test"), list[str](), Held()
    first = asyncio.create_task(aside.run("many", held.work))
    await asyncio.to_thread(held.begun.wait)
    many = [asyncio.create_task(aside.run("many", order.append, "many")) for _ in range(50)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(aside.run(name, order.append, name)) for name in ("a", "b", "a")]
    await asyncio.sleep(0)
    held.go.set()
    assert await first == "done"
    await asyncio.gather(*many, *others)
    assert order[:7] == ["many", "a", "b", "many", "a", "many", "many"]
    assert len(order) == 53


async def test_work_of_those_who_have_left_is_not_done() -> None:
    aside, order, held = Aside("test"), list[str](), Held()
    first = asyncio.create_task(aside.run("a", held.work))
    await asyncio.to_thread(held.begun.wait)
    left = asyncio.create_task(aside.run("a", order.append, "left"))
    await asyncio.sleep(0)
    left.cancel()
    first.cancel()
    await asyncio.wait({left, first})
    held.go.set()
    await aside.run("a", order.append, "stays")
    assert order == ["stays"]


async def test_nothing_is_held_for_those_who_have_left() -> None:
    class Document:
        """Of a client."""

    def look(_: Document) -> None:
        """Takes no time."""

    aside, held = Aside("test"), Held()
    first = asyncio.create_task(aside.run("a", held.work))
    stays = asyncio.create_task(aside.run("a", look, Document()))
    document = Document()
    seen = weakref.ref(document)
    left = asyncio.create_task(aside.run("a", look, document))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait({left})
    del document, left
    gc.collect()
    gone = seen() is None
    held.go.set()
    await asyncio.gather(first, stays)
    assert gone


async def test_an_error_is_the_askers() -> None:
    aside = Aside("test")
    with pytest.raises(ValueError, match="invalid literal"):
        await aside.run("a", int, "x")
    assert await aside.run("a", int, "7") == 7
