"""What `/status` says of a worker that is not, or not any more, connected to Kafka."""

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from app.monitoring.status import assigned

ASSIGNED = {TP("documents", 0)}


def app(loop: asyncio.AbstractEventLoop, *, connected: bool = True) -> Any:
    thread = SimpleNamespace(_consumer=object() if connected else None, thread_loop=loop)
    return SimpleNamespace(
        consumer=SimpleNamespace(_thread=thread, assignment=lambda: frozenset(ASSIGNED))
    )


def test_the_partitions_are_those_of_a_consumer_that_is_connected_and_runs() -> None:
    loop = asyncio.new_event_loop()
    try:
        assert assigned(app(loop)) == ASSIGNED
        assert assigned(app(loop, connected=False)) == set()
    finally:
        loop.close()
    assert assigned(app(loop)) == set()
    assert assigned(SimpleNamespace(consumer=SimpleNamespace())) == set()
