"""A standing audit: runs beside the workers in rounds, each beginning where the last one ended.

Each record gets a final verdict once, and is counted then. A record on its way to the database, or
an acknowledgement whose record may still come, has no final verdict yet and is checked again in the
next round.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from app.audit.auditing import Audited, Auditor
from app.audit.errors import AuditError
from app.audit.findings import Example, Findings, Settled
from app.audit.marks import keep_marks, read_marks
from app.audit.reading import MARGIN_MILLIS, Extent, Scope, Silent
from app.audit.tally import Round, Tally, complaints
from app.audit.verdicts import FAILURES
from app.couchdb import DatabaseError
from app.kafka.access import explain
from app.kafka.admin import open_admin
from app.kafka.errors import KafkaError
from app.kafka.reader import ReadError, TopicPartition
from app.process.printable import shown
from app.settings import Settings

logger = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds that an acknowledgement waits for its record before it is said to have never arrived."""

AGAIN_SECONDS = 60.0
"""Until a round that could not be made is tried again, if rounds are not more frequent anyway."""

EXAMPLES = 3


class Standing:
    """Audits again and again.

    Args:
        settings: the worker's.
        every: seconds from the start of a round to that of the next one.
        wall: epoch seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        every: float,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._every = every
        self._wall = wall
        self._clock = clock
        self._looked_back: int | None = None
        self.tally = Tally(wall())

    async def run(self, stop: asyncio.Event) -> None:
        """Run rounds until told to stop; a round that fails is logged and tried again."""
        while not stop.is_set():
            began = self._clock()
            wait = self._every
            try:
                await self._round()
            except (AuditError, DatabaseError, ReadError) as error:
                self._say_failed(str(error))
                wait = min(wait, AGAIN_SECONDS)
            except (KafkaError, OSError) as error:
                kafka = self._settings.kafka
                self._say_failed(f"Kafka at {kafka.url}: {explain(error, kafka)}")
                wait = min(wait, AGAIN_SECONDS)
            except sqlite3.OperationalError as error:
                self._say_failed(f"no room for what was found: {error} (TMPDIR says where)")
                wait = min(wait, AGAIN_SECONDS)
            if line := self.tally.day_ended(self._wall()):
                logger.info("%s", line)
            await _sleep(stop, max(0.0, began + wait - self._clock()))
        logger.info("Since the start: %s.", self.tally.summary(self.tally.all))

    def _say_failed(self, why: str) -> None:
        if self.tally.last_error is None:  # once, until it can be made again
            logger.error("This round of the audit could not be made: %s.", shown(why).rstrip("."))
        self.tally.fail(why)

    async def _round(self) -> None:
        began = self._wall()
        kafka = self._settings.kafka
        async with open_admin(kafka) as admin:
            marks = await read_marks(admin, kafka)
        with closing(Findings()) as findings:
            scope = Scope(marks=marks, looked_back=self._looked_back)
            audited = await Auditor(self._settings, findings, Silent()).run(scope)
            settled = findings.settle(int((began - PATIENCE) * 1000))
            found = Round(
                self._wall(),
                settled,
                missed=missed(marks, audited.extents),
                lost=sum(one.count for one in audited.lost),
                not_judged=audited.not_judged,
            )
            examples = {
                one: [_where(example) for example in findings.examples(one, EXAMPLES)]
                for one in FAILURES
            }
        # Before it is counted: what is counted twice is worse than what is counted late.
        await keep_marks(kafka, next_marks(settled, audited))
        oldest = began if settled.oldest_open is None else min(began, settled.oldest_open / 1000)
        self._looked_back = max(0, int((oldest - PATIENCE) * 1000) - MARGIN_MILLIS)
        if self.tally.last_error is not None:
            logger.info("The audit goes on.")
        self.tally.add(found)
        for line in complaints(found, examples):
            logger.error("%s.", line)
        logger.debug("%s", self.tally.summary(self.tally.today))


def next_marks(settled: Settled, audited: Audited) -> dict[TopicPartition, int]:
    """Where the next round begins: at the first record that is not judged for good."""
    return {
        tp: settled.marks.get((tp.topic, tp.partition), extent.end)
        for tp, extent in audited.extents.items()
    }


def missed(marks: dict[TopicPartition, int], extents: dict[TopicPartition, Extent]) -> int:
    """Records that Kafka deleted between two rounds."""
    return sum(max(0, extents[tp].log_start - mark) for tp, mark in marks.items() if tp in extents)


def _where(example: Example) -> str:
    topic, partition, offset = example.place
    what = example.document or example.activation or "no activation id"
    return f"{shown(what)} ({topic}/{partition} offset {offset})"


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
