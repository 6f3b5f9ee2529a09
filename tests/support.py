"""What unit tests of the pipeline share: records and chunks as Kafka hands them over."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from aiokafka.record.default_records import DefaultRecord
from faust.types import TP

from app.kafka.delivery import Chunk
from app.kafka.producer import Outgoing

NOW = 1_767_325_446_000
"""Epoch millis: the timestamp of every record here."""

Headers = Sequence[tuple[str, bytes]]


def record(
    value: bytes | None,
    offset: int = 0,
    *,
    key: bytes | None = None,
    headers: Headers = (),
) -> Any:
    """One record as aiokafka's compiled code unpacks it."""
    return DefaultRecord(offset, NOW, 0, key, value, list(headers))


def chunk(
    *values: bytes | None, first_offset: int = 0, topic: str = "topic", partition: int = 0
) -> Chunk:
    """Consecutive records with these values."""
    records = [record(value, first_offset + n) for n, value in enumerate(values)]
    return Chunk(TP(topic, partition), records)


class Event:
    """A Faust event whose value is a chunk."""

    def __init__(self, value: Chunk) -> None:
        self.value = value
        self.acked = asyncio.Event()

    def ack(self) -> bool:
        self.acked.set()
        return True


class Producer:
    """Keeps what is sent, by topic.

    Attributes:
        too_large: Values that no topic takes.
        error: What `send` raises instead.
    """

    def __init__(self) -> None:
        self.sent: dict[str, list[Outgoing]] = {}
        self.too_large: set[bytes] = set()
        self.error: Exception | None = None

    async def send(self, topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
        if self.error is not None:
            raise self.error
        given = list(records)
        refused = [one for one in given if one.value in self.too_large]
        self.sent.setdefault(topic, []).extend(one for one in given if one not in refused)
        return refused


async def longest_turn(meanwhile: asyncio.Future[Any]) -> float:
    """The largest part of the process's work that the loop did without doing anything else.

    Near 1 where all of it is done at once. A part of what was measured in one run is the same on a
    slow machine and beside others, which seconds are not; garbage of other tests is left alone.
    """
    with _garbage_left_alone():
        longest, whole, before = 0.0, time.process_time(), time.thread_time()
        while not meanwhile.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now
        return longest / (time.process_time() - whole)


def cost(work: Callable[[], object]) -> float:
    """How long something takes, as a multiple of adding up a million numbers (some 10 ms).

    Both are measured in turn, three times, so that it does not depend on the machine.
    """

    def seconds(call: Callable[[], object]) -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    with _garbage_left_alone():
        return min(seconds(work) / seconds(lambda: sum(range(10**6))) for _ in range(3))


@contextlib.contextmanager
def _garbage_left_alone() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
