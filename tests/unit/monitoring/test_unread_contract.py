"""The suite that the fake of what is unread has in common with the real one."""

from collections.abc import Sequence
from typing import Any

import pytest
from faust.types import TP

from app.monitoring.retention.policy import Head, Policy
from app.monitoring.retention.unread import RECORD_OVERHEAD
from tests.contract.unread import TestUnread  # noqa: F401 - the suite
from tests.fakes.unread import FakeUnread


class FakeTopic:
    def __init__(self) -> None:
        self.tp = TP("topic", 0)
        self._fake = FakeUnread()
        self._fake.policies_of = {"topic": Policy()}
        self._fake.heads = {self.tp: {}}
        self.unread: Any = self._fake

    async def write(self, records: Sequence[tuple[int, int]]) -> None:
        heads = (Head(at, size + RECORD_OVERHEAD) for at, size in records)
        self._fake.heads[self.tp] |= dict(enumerate(heads))

    async def delete_before(self, offset: int) -> None:
        for at in range(offset):
            del self._fake.heads[self.tp][at]


@pytest.fixture
def topic() -> FakeTopic:
    return FakeTopic()
