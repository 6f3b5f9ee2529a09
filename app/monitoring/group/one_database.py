"""Ensures that all workers of a group write to the same database.

Two deployments with the same application id and topic prefix are one consumer group, between which
Kafka divides the records. The second one to start is refused before it reads anything. If its
database was away at the start, it joins the group, and writes nothing until its database has been
compared with those of the others. If both have started together, the younger one exits later.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from mode import Service

from app.monitoring.group.exchange import TELL_SECONDS, Exchange
from app.monitoring.group.rivals import Rivals, is_second
from app.monitoring.group.roster import Roster
from app.monitoring.group.snapshot import Snapshot
from app.process.errors import WrongSettingError
from app.settings import DatabaseSettings
from models.instants import iso

HEAR_SECONDS = 5.0
"""How long a start waits to hear the other workers, and for the database's first answer. Without
them the worker joins the group, and only its writing waits.
"""

LOOK_SECONDS = 1.0
"""Seconds between two checks while a start waits."""

CLEAR_SECONDS = 45.0
"""Seconds after which a worker starts, or writes, although it is still unclear: a worker that has
not looked at its database for so long cannot reach it, and its last report may be outdated.
"""


class OneDatabase(Service):
    """Keeps the workers of a group from writing to different databases.

    Args:
        settings: the database's settings, which may allow several databases.
        exchange: reads the others' snapshots.
        roster: the latest snapshots.
        gather: makes this worker's snapshot.
        look: checks the database's identity again.
        written: how many documents this worker has written.
        worker: the waiting ends when it is told to stop.
        end: ends the running worker.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        exchange: Exchange,
        roster: Roster,
        *,
        gather: Callable[[], Snapshot],
        look: Callable[[], Awaitable[object]],
        written: Callable[[], int],
        worker: Service,
        end: Callable[[WrongSettingError], None],
        clock: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._exchange = exchange
        self._roster = roster
        self._gather = gather
        self._look = look
        self._written = written
        self._worker = worker
        self._end = end
        self._clock = clock
        self._rivals = Rivals()
        self._identified = asyncio.Event()
        self._clear = asyncio.Event()

    async def on_start(self) -> None:
        """Return once it is clear that nobody in the group writes to another database.

        If the others are not heard soon, or the database does not answer, the worker starts all the
        same, and only its first write waits.

        Raises:
            WrongSettingError: another worker does.
        """
        if self._settings.several:
            self._clear.set()
            return
        if await self._others_are_heard():
            await self._wait_until_clear()
        else:
            self.add_future(self._compare_later())
        self.add_future(self._watch())

    async def cleared(self) -> None:
        """Wait until documents may be written; to be called once the database is identified.

        Never returns if another worker of the group writes to another database and was there first:
        this worker ends then.
        """
        self._identified.set()
        await self._clear.wait()

    async def _others_are_heard(self) -> bool:
        """Whether there are other workers, and this worker's database is identified."""
        try:
            async with asyncio.timeout(HEAR_SECONDS):
                await self._exchange.caught_up.wait()
                if not self._roster.others():
                    return False
                await self._identified.wait()
        except TimeoutError:
            return False
        return True

    async def _compare_later(self) -> None:
        """Let this worker, which is in the group by now, write once its database is compared."""
        await self._identified.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLEAR_SECONDS):
                await self._exchange.caught_up.wait()
        try:
            await self._wait_until_clear(joined=True)
        except WrongSettingError as error:
            self._end(error)

    async def _wait_until_clear(self, *, joined: bool = False) -> None:
        """Wait until this worker may write.

        Args:
            joined: whether it is in the group already; only the younger one ends then.
        """
        waiting = False
        end = self._clock() + CLEAR_SECONDS
        while self._clock() < end:
            if self._worker.should_stop and not joined:
                return
            began, own = self._clock(), self._gather()
            rival = self._rivals.look(own, self._roster.others())
            if rival is not None and (not joined or is_second(own, rival)):
                error = WrongSettingError(self._why(rival))
                if not joined:
                    self.log.error("%s", error)
                raise error
            other = rival or self._rivals.unclear
            if other is None:
                break
            if not waiting:
                self.log.info(
                    "Worker %s of this group tells of another database; nothing is written until "
                    "both have looked again.",
                    other.worker,
                )
                waiting = True
            # One that has joined and stops has still to write what it has in flight.
            await (self if self._worker.should_stop else self._worker).sleep(LOOK_SECONDS)
            await self._look()
            if self._gather().database.looks == own.database.looks:
                # This worker's database is away again, and would be written to once it is back.
                end += self._clock() - began
        self._clear.set()

    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(TELL_SECONDS)
            rival = self._rivals.look(self._roster.own, self._roster.others())
            if rival is not None and is_second(self._roster.own, rival):
                self._end(WrongSettingError(self._why(rival)))
                return
            if self._rivals.unclear is not None:
                await self._look()

    def _why(self, rival: Snapshot) -> str:
        since = iso(int(rival.started * 1000), "seconds")
        written = self._written()
        there = (
            f". This worker has written {written} documents to its database: run `persister audit "
            "--repair` with the settings of the other one, to store there what it lacks, before "
            "OpenWhisk's topics drop it"
        )
        return (
            f"Worker {rival.worker}, which runs since {since}, has the same PERSISTER_APP_ID "
            f"({rival.group}) and writes to another database than {self._settings.url}/"
            f"{self._settings.name}: each would get a part of the records. Give each deployment "
            "its own PERSISTER_APP_ID and PERSISTER_TOPIC_PREFIX; to move to another database, "
            "stop all other workers first, or set PERSISTER_SEVERAL_DATABASES=true meanwhile"
            f"{there if written else ''}"
        )
