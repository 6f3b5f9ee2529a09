"""When the guard's entries are sent to Kafka."""

import asyncio
import logging
from typing import Any, cast

import faust
import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from faust.types import TP

from app.storing.guard.table import REMIND_SECONDS, SEND_SECONDS, GuardTable


class Sent(list[tuple[int, str, Any]]):
    """What a table sends: partition, key and value."""

    now = 100.0

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[asyncio.Future[Any]] = []

    def take(self, partition: int, key: str, value: Any, **_: Any) -> Any:
        self.append((partition, key, value))
        pending = cast("Any", type("Pending", (), {"partition": partition}))
        self.answers.append(faust.types.FutureMessage(pending))
        return self.answers[-1]


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def table(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> GuardTable:
    app = faust.App("test", broker="kafka://nowhere", set_as_current=False, Table=GuardTable)
    made = app.Table("guard", partitions=4, clock=lambda: sent.now, explain=lambda _: "grant Write")
    monkeypatch.setattr(made, "send_changelog", sent.take)
    return cast("GuardTable", made)


async def test_an_entry_is_sent_once_for_all_its_changes(table: GuardTable, sent: Sent) -> None:
    for value in (b"1", b"12", b"123"):
        table["3/7"] = value
        assert table["3/7"] == value
    table["0/1"] = b"4"
    assert sent == []
    table.send_changes()
    assert sent == [(3, "3/7", b"123"), (0, "0/1", b"4")]
    table.send_changes()
    assert len(sent) == 2


async def test_what_changes_all_the_time_is_sent_in_between(table: GuardTable, sent: Sent) -> None:
    table["3/7"] = b"1"
    sent.now += SEND_SECONDS / 2
    table["3/7"] = b"12"
    assert sent == []
    sent.now += SEND_SECONDS / 2
    table["3/7"] = b"123"
    assert sent == [(3, "3/7", b"123")]
    sent.now += SEND_SECONDS / 2
    table["3/7"] = b"1234"
    assert len(sent) == 1


async def test_entries_stay_whose_changelog_is_not_assigned(table: GuardTable) -> None:
    """The guard has indexed them: it has been told first."""
    store = cast("Any", table.data)
    for key, partition in (("3/7", 3), ("0/1", 0)):
        store.data[key], store._key_partition[key] = b"1", partition
    await table.on_recovery_completed({TP("changelog", 0)}, set())
    assert dict(table) == {"3/7": b"1", "0/1": b"1"}
    assert not store._key_partition


async def test_what_is_removed_is_not_sent_afterwards(table: GuardTable, sent: Sent) -> None:
    table["3/7"] = b"1"
    del table["3/7"]
    table.send_changes()
    assert sent == [(3, "3/7", None)]


async def test_entries_that_kafka_does_not_take_are_told_of_seldom_until_it_takes_one(
    table: GuardTable, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def answered(error: Exception | None, after: float) -> None:
        sent.now += after
        table["3/7"] = str(sent.now).encode()
        table.send_changes()
        if error:
            sent.answers[-1].set_exception(error)
        else:
            sent.answers[-1].set_result(None)
        await asyncio.sleep(0)

    for after in (0, 1, 1):
        await answered(TopicAuthorizationFailedError("guard"), after)
    ((line),) = caplog.messages
    assert "not written to Kafka: grant Write. Records are stored all the same" in line
    assert table.trouble == "grant Write"
    await answered(TopicAuthorizationFailedError("guard"), REMIND_SECONDS)
    await answered(None, 1)
    await answered(None, 1)
    assert caplog.messages == [line, line, "What the guard remembers is written to Kafka again."]
    assert table.trouble == ""
