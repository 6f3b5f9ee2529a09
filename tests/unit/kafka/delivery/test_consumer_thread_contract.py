"""The suite that the fake of the consumer's thread has in common with a real one."""

import pytest
from faust.types import TP

from tests.contract.consuming import TestConsumerThread  # noqa: F401 - the suite
from tests.fakes.consumer_thread import FakeConsumerThread
from tests.support import record


class FakeTopic:
    def __init__(self) -> None:
        self.first, self.second = TP("topic", 0), TP("topic", 1)
        self.thread = FakeConsumerThread({self.first, self.second}, end=0)
        self.thread.never_committed = {self.first, self.second}

    async def write(self, records: int) -> None:
        self.thread.ends[self.first] += records
        self.thread.fetched = [{self.first: [record(b"", offset) for offset in range(records)]}]

    async def delete_before(self, offset: int) -> None:
        self.thread.earliest[self.first] = offset

    async def vanish(self) -> None:
        self.thread.gone = {self.first, self.second}

    async def recreate(self) -> None:
        self.thread.ids = {self.first.topic: bytes(16)}
        self.thread.never_committed = {self.first, self.second}

    async def revoke(self) -> None:
        self.thread.assigned = set()


@pytest.fixture
def topic() -> FakeTopic:
    return FakeTopic()
