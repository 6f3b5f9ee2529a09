"""The service: replaces its client when that fails, says what changes, ends what is stuck."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from app.kafka.group_view import Reach
from app.kafka.untimed import NO_TIMESTAMP
from app.monitoring.progress.facts import Database, Worker
from app.monitoring.progress.rules import Rules
from app.monitoring.progress.watch import LOOK_SECONDS, STARTING_SECONDS, Progress
from app.process.errors import StandstillError
from app.process.heartbeat import Heartbeat
from app.settings import KafkaSettings
from tests.fakes.group import FakeObserver

INPUT, DOCUMENTS = TP("completed0", 0), TP("documents", 0)
RULES = Rules(
    documents="documents",
    required=("documents",),
    wanted=lambda topic: topic.startswith("completed"),
    discovery=2.0,
    in_flight=1000,
    request_timeout=60.0,
    session=10.0,
)


class Run:
    def __init__(self, stuck_after: float = 60.0) -> None:
        self.now = 0.0
        self.set_by = 0.0
        self.kafka = FakeObserver(
            members={"me": frozenset({INPUT, DOCUMENTS})},
            reaches={INPUT: Reach(0, 10, 10), DOCUMENTS: Reach(0, 10, 10)},
            topics_there={"completed0": 1, "documents": 1, "else": 3},
        )
        self.worker = Worker(member="me", generation=1)
        self.ended: list[StandstillError] = []
        self.told: list[dict[str, int]] = []
        self.throttled = ""
        self.progress = Progress(
            KafkaSettings(),
            RULES,
            lambda: self.worker,
            stuck_after=stuck_after,
            end=self._end,
            heartbeat=Heartbeat(0),
            topics=lambda topics: self.told.append(dict(topics)),
            connect=self.kafka.connect,
            throttled=lambda: self.throttled,
            clock=lambda: self.now,
            wall=lambda: self.now + self.set_by,
        )

    async def _end(self, error: StandstillError) -> None:
        self.ended.append(error)

    async def after(self, seconds: float) -> Any:
        for _ in range(int(seconds / 2)):
            await self.progress.look()
            self.now += 2.0
        return self.progress.verdict

    def stand_still(self) -> None:
        self.kafka.reaches[INPUT] = Reach(0, 12, 10)
        self.kafka.written[INPUT] = {10: 1000}


async def test_before_the_first_look_nobody_is_ready() -> None:
    assert "starting" in (Run().progress.verdict.not_ready or "")


async def test_it_looks_more_often_until_it_is_ready_while_kafka_answers() -> None:
    run = Run()
    run.worker = replace(run.worker, started=False)
    await run.progress.look()
    assert run.progress.pause() == STARTING_SECONDS
    run.kafka.failing = OSError("refused")
    await run.progress.look()
    assert run.progress.pause() == LOOK_SECONDS
    run.kafka.failing = None
    run.worker = replace(run.worker, started=True)
    await run.progress.look()
    assert run.progress.pause() == LOOK_SECONDS


async def test_it_asks_about_openwhisks_topics_and_the_internal_one() -> None:
    run = Run()
    await run.after(2)
    assert sorted(run.kafka.wanted) == ["completed0", "documents"]


async def test_it_tells_which_topics_there_are() -> None:
    run = Run()
    await run.after(4)
    assert run.told == [{"completed0": 1, "documents": 1, "else": 3}] * 2


async def test_a_kafka_that_throttles_the_question_is_told_as_that() -> None:
    run = Run()
    run.kafka.failing = TimeoutError()
    run.throttled = "Kafka throttles this client, for 20 s now"
    verdict = await run.after(20)
    assert verdict.not_ready.endswith("Kafka throttles this client, for 20 s now")
    assert run.progress.kafka.last_error == run.throttled


async def test_what_waits_on_purpose_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    run = Run()
    run.kafka.reaches[DOCUMENTS] = Reach(0, 12, 10)
    run.kafka.written[DOCUMENTS] = {10: 1000}
    run.worker = replace(run.worker, database=Database(busy=True, waits="waiting for its pace"))
    run.now = 1000.0
    assert (await run.after(100)).not_ready is None
    said = [one.message for one in caplog.records if "its pace" in one.message]
    assert (
        said[0].removeprefix("[^Progress]: ")
        == "2 records wait, the first for 8 s: waiting for its pace"
    )
    assert len(said) == 2
    assert not run.ended


async def test_what_stands_still_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = Run(stuck_after=0)
    run.stand_still()
    await run.after(100)
    said = [one.message for one in caplog.records if "Not ready" in one.message]
    assert len(said) == 2
    assert "completed0/0: nothing is committed" in said[0]
    run.kafka.reaches[INPUT] = Reach(0, 12, 12)
    await run.after(2)
    assert caplog.records[-1].message.endswith(
        "Ready again: nothing that this worker reads stands still."
    )


async def test_what_stands_still_ends_the_worker_once() -> None:
    run = Run(stuck_after=60)
    run.stand_still()
    await run.after(60)
    assert not run.ended
    await run.after(60)
    (error,) = run.ended
    assert "completed0/0" in str(error)
    assert "PERSISTER_STUCK_AFTER" in str(error)


async def test_zero_never_ends_it() -> None:
    run = Run(stuck_after=0)
    run.stand_still()
    await run.after(3600)
    assert not run.ended


async def test_a_worker_that_stops_is_not_ended() -> None:
    run = Run()
    run.stand_still()
    run.worker = replace(run.worker, stopping=True)
    await run.after(600)
    assert not run.ended


@pytest.mark.parametrize(
    "error", [KafkaConnectionError("refused"), TimeoutError(), OSError("x"), IndexError("x")]
)
async def test_kafka_away_is_a_state_and_each_question_has_a_client_of_its_own(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Run()
    await run.after(10)
    assert run.kafka.connected == 1
    run.kafka.failing = error
    verdict = await run.after(600)
    assert "Kafka does not answer" in verdict.not_ready
    assert run.progress.kafka.away_since == 10.0
    assert run.progress.kafka.last_error
    assert run.kafka.connected == run.kafka.closed == 300
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    run.kafka.failing = None
    assert (await run.after(2)).not_ready is None
    assert run.progress.kafka.away_since is None
    assert any("answers again, after 600 s" in one.message for one in caplog.records)
    assert not run.ended


async def test_a_rest_of_transaction_markers_is_nothing_unread() -> None:
    run = Run()
    run.kafka.reaches[INPUT] = Reach(0, 12, 10)
    verdict = await run.after(120)
    assert verdict.not_ready is None
    assert verdict.partitions[INPUT].reach.lag == 0
    # Asked again each time: a record may come.
    assert len(run.kafka.asked) == 60
    run.kafka.written[INPUT] = {11: 5000}
    assert (await run.after(20)).not_ready is not None


async def test_the_age_of_what_is_unread_is_asked_for_once() -> None:
    run = Run(stuck_after=0)
    run.stand_still()
    await run.after(20)
    assert run.kafka.asked == [(INPUT, 10)]
    assert run.progress.oldest == {INPUT: 1000}
    run.kafka.reaches[INPUT] = Reach(0, 12, 12)
    await run.after(2)
    assert run.progress.oldest == {}


async def test_a_record_without_a_time_is_unread_and_of_no_age() -> None:
    run = Run(stuck_after=0)
    run.stand_still()
    run.kafka.written[INPUT] = dict.fromkeys(run.kafka.written[INPUT], NO_TIMESTAMP)
    verdict = await run.after(20)
    assert verdict.partitions[INPUT].reach.lag
    assert run.progress.oldest == {}


async def test_transaction_markers_at_the_end_of_a_hundred_topics_are_nothing_unread() -> None:
    run = Run()
    hollow = {TP(f"completed{number}", 0): Reach(0, 12, 10) for number in range(100)}
    run.kafka.reaches |= hollow
    run.kafka.members["me"] |= hollow.keys()
    run.kafka.topics_there |= {tp.topic: 1 for tp in hollow}
    verdict = await run.after(120)
    assert not run.ended
    assert verdict.not_ready is None
    # And what comes to one of them is seen.
    run.kafka.written[TP("completed99", 0)] = {11: 5000}
    assert (await run.after(30)).not_ready is not None


async def test_what_lasts_is_said_again_though_the_clock_was_set_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run(stuck_after=0)
    await run.after(4)
    run.stand_still()
    await run.after(20)
    run.set_by = -21_600.0
    await run.after(70)
    said = [line for line in caplog.messages if "Not ready for" in line]
    assert len(said) == 2
