"""Sending missing documents again does not wait for ever for a Kafka that takes none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.audit import repair
from app.audit.errors import AuditError
from app.audit.findings import Place
from app.audit.reading import Silent
from app.audit.repair import Repairer
from app.kafka.reader import TopicPartition
from app.settings import load
from tests.integration.support.records import Records, result

PLACE = TopicPartition("completed-others", 0)


class Record:
    topic, partition, offset, timestamp = "completed-others", 0, 7, 1_767_325_445_000
    value = result(Records(1).one())


class Reader:
    """Has one record."""

    async def starts(self, _partitions: Any) -> dict[TopicPartition, int]:
        return {PLACE: 0}

    async def records(self, *_: Any) -> AsyncIterator[Record]:
        yield Record()


class Deaf:
    """Sends to a Kafka that acknowledges nothing."""

    async def send(self, *_: Any) -> list[Any]:
        await asyncio.Event().wait()
        return []


async def test_what_is_not_acknowledged_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "SEND_SECONDS", 0.02)
    reader: Any = Reader()
    deaf: Any = Deaf()
    async with asyncio.timeout(10):
        with pytest.raises(AuditError, match="did not acknowledge documents in persister-doc"):
            await Repairer(reader, deaf, Silent(), load()).run([Place("completed-others", 0, 7)])
