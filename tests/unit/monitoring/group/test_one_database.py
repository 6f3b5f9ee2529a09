"""Who may start beside the other workers of the group, and who ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.monitoring.group import one_database
from app.monitoring.group.one_database import OneDatabase
from app.monitoring.group.roster import Roster
from app.monitoring.group.snapshot import DatabaseState, Snapshot
from app.process.errors import WRONG_SETTINGS, WrongSettingError
from app.settings import DatabaseSettings
from tests.fakes.time import Time, until

KAFKA = 1_800_000_000.0


class Group:
    """This worker, and one other that looks at its database whenever this one does."""

    def __init__(self) -> None:
        self.time = Time()
        self.roster = Roster(self.time.clock)
        self.caught_up = asyncio.Event()
        self.identity, self.looks = "A", 1
        self.other: Snapshot | None = None
        self.looks_fail = False
        self.other_looks = True
        self.should_stop = False
        self.ended: list[WrongSettingError] = []
        self.written = 0
        self.started = 200.0

    def gather(self) -> Snapshot:
        state = DatabaseState(identity=self.identity, looks=self.looks)
        self.roster.own = Snapshot("own", group="g", started=self.started, database=state)
        return self.roster.own

    def joins(self, identity: str, *, started: float = 100.0) -> None:
        state = DatabaseState(identity=identity, looks=1)
        self.hear(Snapshot("other", group="g", started=started, database=state))

    def hear(self, other: Snapshot) -> None:
        self.other = other
        self.roster.heard(other.worker, other, KAFKA + self.time.now)

    async def look(self) -> None:
        self.looks += not self.looks_fail
        if self.other is not None and self.other_looks:
            before = self.other.database
            state = DatabaseState(identity=before.identity, looks=before.looks + 1)
            self.hear(Snapshot("other", group="g", started=self.other.started, database=state))
        self.gather()

    async def sleep(self, seconds: float) -> None:
        await self.time.sleep(seconds)
        self.roster.heard("own", self.roster.own, KAFKA + self.time.now)

    def writes(self, service: OneDatabase) -> "asyncio.Task[None]":
        """The wait for the first write, which begins with the database's first answer."""
        return asyncio.create_task(service.cleared())


Start = Callable[..., Awaitable[OneDatabase]]


@pytest.fixture
async def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(one_database, "HEAR_SECONDS", 0.05)
    monkeypatch.setattr(one_database, "TELL_SECONDS", 0.001)
    made = Group()
    made.gather()
    made.caught_up.set()
    return made


@pytest.fixture
async def start(group: Group) -> AsyncIterator[Start]:
    running: list[OneDatabase] = []
    waiting: list[asyncio.Task[None]] = []

    async def started(**settings: Any) -> OneDatabase:
        fake: Any = SimpleNamespace(caught_up=group.caught_up)
        worker: Any = group
        service = OneDatabase(
            DatabaseSettings(**settings),
            fake,
            group.roster,
            gather=group.gather,
            look=group.look,
            written=lambda: group.written,
            worker=worker,
            end=group.ended.append,
            clock=group.time.clock,
        )
        if group.identity:
            waiting.append(group.writes(service))
        await service.start()
        running.append(service)
        return service

    yield started
    for task in waiting:
        task.cancel()
    for service in running:
        await service.stop()


async def test_beside_another_database_there_is_no_start(group: Group, start: Start) -> None:
    group.joins("B")
    with pytest.raises(WrongSettingError, match="PERSISTER_APP_ID") as refused:
        await start(name="copy")
    assert refused.value.code == WRONG_SETTINGS
    for told in ("other", "1970-01-01T00:01:40", "copy", "PERSISTER_SEVERAL_DATABASES"):
        assert told in str(refused.value)
    assert group.time.now - 1000 < 60


async def test_it_is_said_of_one_that_claims_to_have_started_whenever(
    group: Group, start: Start
) -> None:
    group.joins("B", started=2.0**53)
    with pytest.raises(WrongSettingError, match="Worker other, which runs since 9007199254740992"):
        await start()


async def test_where_it_is_meant_there_is(group: Group, start: Start) -> None:
    group.joins("B")
    await start(several=True)
    assert group.time.slept == []


async def test_nobody_waits_who_is_alone_or_beside_the_same_database(
    group: Group, start: Start
) -> None:
    await start()
    group.joins("A")
    await start()
    assert group.time.slept == []


async def test_a_start_waits_until_the_other_has_noticed_that_it_was_re_created(
    group: Group, start: Start
) -> None:
    group.joins("before")
    group.other_looks = False
    starting = asyncio.ensure_future(start())
    await until(lambda: len(group.time.slept) >= 5)
    assert not starting.done()
    group.joins("A")
    await starting


@pytest.mark.parametrize("tells", [True, False])
async def test_a_start_goes_on_beside_one_that_cannot_reach_its_database_or_has_crashed(
    group: Group, start: Start, *, tells: bool
) -> None:
    group.joins("B")
    group.other_looks = False
    if tells:
        sleep = group.sleep

        async def sleep_and_hear(seconds: float) -> None:
            await sleep(seconds)
            assert group.other is not None
            group.hear(group.other)

        group.sleep = sleep_and_hear  # type: ignore[method-assign]
    await start()
    waited = group.time.now - 1000
    assert waited <= 20 or tells
    assert waited <= 60


async def test_a_start_goes_on_while_nothing_is_heard_or_the_database_does_not_answer(
    group: Group, start: Start
) -> None:
    group.identity = ""
    group.joins("B")
    await start()
    group.caught_up.clear()
    await start()
    assert group.time.slept == []


async def test_a_database_that_answers_late_is_written_to_at_once_if_it_is_everybodys(
    group: Group, start: Start
) -> None:
    group.identity = ""
    group.joins("A")
    service = await start()
    group.identity = "A"
    await group.writes(service)
    assert group.time.slept == []
    assert group.ended == []


async def test_nothing_is_written_to_a_database_that_answers_late_and_is_nobody_elses(
    group: Group, start: Start
) -> None:
    """The worker had joined by then, and stored 3,098 records where nobody looks for them."""
    group.identity = ""
    group.joins("B")
    service = await start()
    group.identity = "A"
    write = group.writes(service)
    await until(lambda: bool(group.ended))
    assert not write.done()
    assert "documents to its database" not in str(group.ended[0])
    write.cancel()


async def test_nothing_is_written_to_a_database_that_is_away_again_before_it_was_compared(
    group: Group, start: Start
) -> None:
    group.identity = ""
    group.joins("B")
    service = await start()
    group.identity, group.looks_fail = "A", True
    write = group.writes(service)
    await until(lambda: sum(group.time.slept) > 2 * one_database.CLEAR_SECONDS)
    assert not write.done()
    assert not group.ended
    group.looks_fail = False
    await until(lambda: bool(group.ended))
    assert not write.done()
    write.cancel()


@pytest.mark.parametrize("other", ["A", "B", None])
async def test_one_that_stops_before_its_database_answers_writes_what_it_has_in_flight(
    group: Group, start: Start, other: str | None
) -> None:
    """It had waited for the end of its time to stop, and written nothing."""
    group.identity = ""
    if other is not None:
        group.joins(other)
    service = await start()
    group.should_stop = True
    group.identity = "A"
    write = group.writes(service)
    if other == "B":
        await until(lambda: bool(group.ended))
        assert not write.done()
        write.cancel()
    else:
        await write


async def test_of_two_whose_databases_answer_late_the_older_writes_once_the_other_is_gone(
    group: Group, start: Start
) -> None:
    group.identity = ""
    group.joins("B", started=300.0)
    service = await start()
    group.identity = "A"
    write = group.writes(service)
    await until(lambda: len(group.time.slept) >= 5)
    assert not write.done()
    group.roster.heard("other", None, KAFKA + group.time.now)
    await write
    assert group.ended == []


async def test_the_first_write_waits_until_the_others_are_heard(group: Group, start: Start) -> None:
    group.caught_up.clear()
    service = await start()
    write = group.writes(service)
    await asyncio.sleep(0)
    assert not write.done()
    group.joins("B")
    group.caught_up.set()
    await until(lambda: bool(group.ended))
    assert not write.done()
    write.cancel()


@pytest.mark.parametrize("came, ends", [(100.0, True), (300.0, False)])
async def test_of_two_that_started_before_it_could_be_seen_the_younger_ends(
    group: Group, start: Start, *, came: float, ends: bool
) -> None:
    await start()
    group.written = 12
    group.joins("B", started=came)
    await asyncio.sleep(0.01)
    for _ in range(5):
        await group.look()
        await asyncio.sleep(0.01)
    assert bool(group.ended) == ends
    for told in ("has written 12 documents", "persister audit --repair") if ends else ():
        assert told in str(group.ended[0])
