"""The suite that the fake publisher has in common with the real one."""

import pytest

from openwhisk.store import Publishes
from tests.contract.publishing import ROOM, TestPublisher  # noqa: F401 - the suite
from tests.fakes.publisher import FakePublisher


class FakeKafka:
    """The fake as the suite wants it."""

    def __init__(self) -> None:
        self._fake = FakePublisher()
        self.publisher: Publishes = self._fake

    async def create(self, topic: str) -> str:
        self._fake.largest[topic] = ROOM
        return topic

    async def away(self) -> Publishes:
        away = FakePublisher()
        away.down.add("topic")
        return away

    async def values(self, topic: str) -> list[bytes]:
        return [value for name, value in self._fake.records if name == topic]


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()
