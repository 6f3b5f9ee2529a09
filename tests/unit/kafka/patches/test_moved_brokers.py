"""A client whose brokers have all moved asks where they are, and not without a pause."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from app.kafka.patches import moved_brokers as module
from app.kafka.patches.moved_brokers import follow_moved_brokers, following


class Cluster:
    def __init__(self) -> None:
        self.updates: list[Any] = []

    def update_metadata(self, metadata: Any) -> None:
        self.updates.append(metadata)


class Connection:
    def __init__(self, brokers: list[str]) -> None:
        self._brokers = brokers
        self.closed = False

    async def send(self, _request: object) -> Any:
        return SimpleNamespace(brokers=self._brokers)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client() -> Any:
    return SimpleNamespace(hosts=[("first", 1, None), ("second", 2, None)])


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Connection]:
    """Those that can be reached, by host."""
    found: dict[str, Connection] = {}

    async def connect(_client: Any, host: str, _port: int) -> Connection:
        if host not in found:
            raise KafkaConnectionError
        return found[host]

    monkeypatch.setattr(module, "connect_as", connect)
    return found


async def known_brokers_answer(*_: Any) -> bool:
    return True


async def nobody_answers(*_: Any) -> bool:
    return False


async def test_known_brokers_are_enough(client: Any, servers: dict[str, Connection]) -> None:
    cluster = Cluster()
    assert await following(known_brokers_answer)(client, cluster, {"topic"})
    assert (cluster.updates, servers) == ([], {})


async def test_when_no_known_broker_answers_a_bootstrap_server_is_asked(
    client: Any, servers: dict[str, Connection]
) -> None:
    cluster = Cluster()
    servers["second"] = Connection(["moved"])
    assert await following(nobody_answers)(client, cluster, {"topic"})
    assert [update.brokers for update in cluster.updates] == [["moved"]]
    assert servers["second"].closed


async def test_brokers_that_do_not_even_refuse_are_not_waited_for(
    client: Any, servers: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)

    async def hang(*_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    servers["first"] = Connection(["moved"])
    assert await following(hang)(client, Cluster(), set())


async def test_nobody_anywhere_is_told_as_aiokafka_does(
    client: Any, servers: dict[str, Connection]
) -> None:
    cluster = Cluster()
    servers["first"] = Connection([])
    assert not await following(nobody_answers)(client, cluster, set())
    assert cluster.updates == []


async def test_a_client_asks_ten_times_a_second_at_most(
    client: Any, servers: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += seconds

    monkeypatch.setattr(module, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    update = following(known_brokers_answer)
    for _ in range(module.OFTEN):
        await update(client, Cluster(), set())
    assert pauses == []
    await update(client, Cluster(), set())
    assert pauses == [module.SECOND]
    assert servers == {}


def test_it_is_put_in_once() -> None:
    follow_moved_brokers()
    mended: Any = AIOKafkaClient._metadata_update
    follow_moved_brokers()
    assert AIOKafkaClient._metadata_update is mended
