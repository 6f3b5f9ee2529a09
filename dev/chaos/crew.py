"""The workers of one stage, and a supervisor that restarts them."""

import asyncio
import http.client
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from dev.breakdowns import Breakdown
from dev.services import Services
from dev.worker import Worker

LOOK = 0.1
"""Seconds between two looks at the processes."""

LONGEST_RESTART = 2.0
"""Seconds that a supervisor waits at most before it starts a worker again."""

STOP_SECONDS = 30.0
"""Seconds that a worker may take to stop: more than its deadline for what is in flight."""

APPLICATION = "dev.faulty_worker"
"""The persister, which a signal can break."""

LOG_TAIL = 4000
"""Characters of a log that are kept of an exit."""


class ToughWorker(Worker):
    """A worker with extra environment variables."""

    def __init__(
        self,
        folder: Path,
        services: Services,
        environment: Mapping[str, str],
        *,
        application: str,
        **settings: object,
    ) -> None:
        super().__init__(folder, services, application=application, **settings)
        self.env = {**(self.env or {}), **environment}


@dataclass(eq=False)
class Member:
    """A worker and its desired state.

    Attributes:
        number: for people.
        worker: its process.
        wanted: whether it is meant to run.
        provoked: whether its end was.
        restart_at: monotonic seconds, when it is started again.
        changing: held by whoever starts or stops it; of faults at once, two may want to.
    """

    number: int
    worker: Worker
    wanted: bool = True
    provoked: bool = False
    restart_at: float | None = None
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class Exit:
    """A worker that exited on its own.

    Attributes:
        number: which one.
        code: of its exit.
        log: the end of it.
    """

    number: int
    code: int
    log: str


class Crew:
    """Starts, kills and supervises workers; its methods wait without blocking.

    Args:
        folder: for their logs and data.
        services: where Kafka and the database are.
        settings: of every worker, as for `Worker`.
        random: seeded.
        environment: of every worker, beside its settings.

    Attributes:
        exits: of workers that ended by themselves.
        kills: how many were killed.
        restarts: how often the supervisor started one again.
    """

    def __init__(
        self,
        folder: Path,
        services: Services,
        settings: Mapping[str, object],
        random: Random,
        environment: Mapping[str, str],
    ) -> None:
        self.members: list[Member] = []
        self.exits: list[Exit] = []
        self.kills = 0
        self.restarts = 0
        self._folder = folder
        self._services = services
        self._settings = settings
        self._random = random
        self._environment = environment
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> list[Member]:
        """The workers that should be running."""
        return [member for member in self.members if member.wanted]

    def start(self) -> None:
        """Start supervising."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> list[str]:
        """Stop all workers with SIGTERM; returns what went wrong."""
        await self.abandon()
        ended = await asyncio.gather(*(self.retire(member) for member in self.wanted))
        return [f"SIGTERM at the end: exit code {code}" for code in ended if code != 0]

    async def abandon(self) -> None:
        """Stop supervising."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.wait([self._supervisor])
            if not self._supervisor.cancelled():
                self._supervisor.result()
            self._supervisor = None

    def destroy(self) -> None:
        """Kill all processes."""
        for member in self.members:
            member.worker.kill()

    async def hire(self) -> Member:
        """Start another worker without waiting for it."""
        number = len(self.members)
        worker = ToughWorker(
            self._folder / f"worker-{number}",
            self._services,
            self._environment,
            application=APPLICATION,
            **self._settings,
        )
        member = Member(number, worker)
        await asyncio.to_thread(worker.launch)
        self.members.append(member)
        return member

    async def kill(self, member: Member) -> None:
        """SIGKILL; the supervisor restarts it. A no-op while it is not running."""
        if not member.worker.running:
            return
        member.provoked = True
        self.kills += 1
        await asyncio.to_thread(member.worker.kill)

    async def retire(self, member: Member) -> int | None:
        """SIGTERM without a restart; returns the exit code, or None if it had to be killed."""
        member.wanted = False
        async with member.changing:
            if not member.worker.running:
                return 0
            try:
                return await asyncio.to_thread(member.worker.terminate, STOP_SECONDS)
            except TimeoutError:
                await asyncio.to_thread(member.worker.kill)
                return None

    async def resume(self, member: Member) -> None:
        """Restart a retired worker without waiting for it. A no-op while it is running."""
        async with member.changing:
            if not member.worker.running:
                await asyncio.to_thread(member.worker.launch)
            member.restart_at, member.wanted = None, True

    async def ready(self, within: float) -> list[Member]:
        """Wait until all are ready; returns those that are not after `within` seconds."""
        deadline = time.monotonic() + within
        while True:
            answers = await asyncio.gather(*(status(member.worker) for member in self.wanted))
            late = [
                member
                for member, answer in zip(self.wanted, answers, strict=True)
                if not answer.get("ready")
            ]
            if not late or time.monotonic() > deadline:
                return late
            await asyncio.sleep(LOOK)

    async def _supervise(self) -> None:
        while True:
            now = time.monotonic()
            for member in self.wanted:
                if member.worker.running:
                    continue
                if member.restart_at is None:
                    self._note_end(member)
                    member.restart_at = now + self._random.uniform(0, LONGEST_RESTART)
                elif now >= member.restart_at:
                    member.restart_at = None
                    await self._restart(member)
            await asyncio.sleep(LOOK)

    async def _restart(self, member: Member) -> None:
        async with member.changing:
            if member.wanted and not member.worker.running:
                self.restarts += 1
                await asyncio.to_thread(member.worker.launch)

    def _note_end(self, member: Member) -> None:
        if not member.provoked:
            code = member.worker.wait()
            self.exits.append(Exit(member.number, code, member.worker.log()[-LOG_TAIL:]))
        member.provoked = False


async def status(worker: Worker) -> dict[str, Any]:
    """`GET /status`; empty while it does not answer."""
    try:
        return await asyncio.to_thread(worker.status)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException):
        return {}


def break_down(member: Member, how: Breakdown) -> None:
    """Have something in it break; only a new start mends that."""
    if member.worker.running:
        os.kill(member.worker.pid, how)


def freeze(member: Member) -> None:
    """SIGSTOP."""
    os.kill(member.worker.pid, signal.SIGSTOP)


def thaw(member: Member) -> None:
    """SIGCONT; a no-op if it was killed meanwhile."""
    if member.worker.running:
        os.kill(member.worker.pid, signal.SIGCONT)
