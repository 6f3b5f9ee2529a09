"""The suite that the fake observer of a group has in common with a real one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from faust.types import TP

from app.kafka.group_view import STABLE, Reach
from tests.contract.observing import TestObserver  # noqa: F401 - the suite
from tests.fakes.group import FakeObserver


class FakeGroup:
    def __init__(self) -> None:
        self.first, self.second = TP("topic", 0), TP("topic", 1)
        reaches = dict.fromkeys((self.first, self.second), Reach(0, 0, None))
        self.observer = FakeObserver(state="Empty", reaches=reaches, topics_there={"topic": 2})

    async def write(self, timestamps: Sequence[int]) -> None:
        end = self.observer.reaches[self.first].end or 0
        self._change(end=end + len(timestamps))
        written = self.observer.written.setdefault(self.first, {})
        written |= dict(enumerate(timestamps, end))

    async def delete_before(self, offset: int) -> None:
        self._change(start=offset)

    async def commit(self, offset: int) -> None:
        self._change(committed=offset)

    async def join(self) -> None:
        self.observer.state = STABLE
        self.observer.members = {"me": frozenset({self.first, self.second})}

    def _change(self, **reach: int) -> None:
        self.observer.reaches[self.first] = replace(self.observer.reaches[self.first], **reach)


@pytest.fixture
def group() -> FakeGroup:
    return FakeGroup()
