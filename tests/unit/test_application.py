"""What the application is made of, and what a start ends with when Kafka goes away in it."""

import logging
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)
from faust.types import TP
from mode import Service

import agents
from app.application import Persister, create_app
from app.process.errors import StandstillError, StartError
from app.process.seldom import Seldom
from app.settings import load
from app.storing.guard import Guard
from app.storing.guard.index import DIGEST_SIZE, HEADER_SIZE
from dev.process import free_port
from models.roles import TopicRole


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Persister:
    monkeypatch.setenv("PERSISTER_WEB_PORT", str(free_port()))
    return create_app(load())


@pytest.mark.parametrize(
    "variable,value,name",
    [
        ("WEB_PORT", "tcp://10.0.0.1:80", "web_port"),
        ("WEB_BIND", "0.0.0.0", "web_bind"),  # noqa: S104 - not to be listened on
        ("BROKER_URL", "kafka://elsewhere:9092", "broker"),
        ("PRODUCER_ACKS", "0", "producer_acks"),
        ("STREAM_WAIT_EMPTY", "no", "stream_wait_empty"),
        ("BROKER_COMMIT_INTERVAL", "3600", "broker_commit_interval"),
    ],
)
def test_variables_that_are_not_ours_set_nothing(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    monkeypatch.setenv("PERSISTER_WEB_PORT", str(free_port()))
    settings = load()
    before = getattr(create_app(settings).conf, name)
    monkeypatch.setenv(variable, value)
    assert getattr(create_app(settings).conf, name) == before


def test_what_a_stranger_can_have_logged_is_logged_seldom(app: Persister) -> None:
    assert app is not None
    for name in (
        "app.couchdb.diagnosis",
        "app.dead_letters.writing",
        "app.kafka.reader",
        "aiohttp.server",
    ):
        assert any(isinstance(one, Seldom) for one in logging.getLogger(name).filters), name


def test_every_role_has_an_agent(app: Persister) -> None:
    agents.register(app)
    assert set(app.agents) == {"activations", "completed", "others", "documents"}


def test_a_role_without_an_agent_is_an_error(
    app: Persister, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.others, "register", lambda _app: None)
    with pytest.raises(StartError, match=f"role {TopicRole.OTHERS}: add one to agents/"):
        agents.register(app)


async def test_every_service_of_its_own_is_started(app: Persister) -> None:
    parts = {name: part for name, part in vars(app).items() if isinstance(part, Service)}
    own = {name for name, part in parts.items() if type(part).__module__.startswith("app.")}
    started = list(app.boot_strategy.server())
    assert {name for name in own if parts[name] not in started} == set()
    assert own >= {"writer", "database_watch", "view_refresh", "storing_step"}


async def test_a_partition_that_is_taken_over_is_remembered_before_its_first_record(
    app: Persister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `/status` shows, and what a takeover has to do before records flow."""
    await take_over(app, monkeypatch)
    assert app.guard.remembered() == {3: 2}


async def test_a_partition_that_is_assigned_without_its_changelog_is_remembered_too(
    app: Persister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ended with a KeyError, and so did every start after it."""
    await take_over(app, monkeypatch)
    await app.guard_table.on_recovery_completed(set(), set())
    app.guard.remember(3, 5, [bytes([2] * 16)])
    assert app.guard.remembered() == {3: 3}
    assert len(app.guard_table["3/0"]) == HEADER_SIZE + 3 * DIGEST_SIZE


async def take_over(app: Persister, monkeypatch: pytest.MonkeyPatch) -> None:
    tp = TP(app.names.documents, 3)
    monkeypatch.setattr(app, "_consumer", SimpleNamespace(assignment=lambda: {tp}))
    app.database.identity = b"a database"
    before: dict[str, bytes] = {}
    former = Guard(before, app.settings.guard, clock=lambda: 0.0, forget=lambda _key: None)
    former.bind(b"a database")
    former.assign([3])
    former.remember(3, 0, [bytes(16), bytes([1] * 16)])
    store: Any = app.guard_table.data
    store.data.update(before)
    store._key_partition.update(dict.fromkeys(before, 3))
    await app.on_rebalance_complete.send()


def failing(monkeypatch: pytest.MonkeyPatch, error: KafkaError) -> None:
    async def start(_app: faust.App) -> None:
        raise error

    monkeypatch.setattr(faust.App, "start", start)


@pytest.mark.parametrize("error", [NodeNotReadyError("node 1"), KafkaConnectionError("closed")])
async def test_a_kafka_that_goes_away_is_one_line(
    app: Persister, monkeypatch: pytest.MonkeyPatch, error: KafkaError
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(StartError, match=r"kafka://.* went away .*check PERSISTER_KAFKA_URL"):
        await app.start()


async def test_what_does_not_pass_by_itself_keeps_its_traceback(
    app: Persister,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, TopicAuthorizationFailedError("guard"))
    with pytest.raises(TopicAuthorizationFailedError):
        await app.start()


async def test_a_worker_that_stands_still_ends_with_its_reason_and_no_empty_traceback(
    app: Persister, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(app.stopping, "start", lambda: begun.append(True))
    error = StandstillError("nothing has moved")
    await app._end_standing_still(error)
    assert (app.crash_reason, app.crashed, begun) == (error, True, [True])
    assert "NoneType" not in caplog.text
