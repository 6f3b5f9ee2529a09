"""Polls the group's offsets and notes violations."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

from aiokafka.errors import KafkaError

from dev.chaos.background import Background
from dev.chaos.movement import PATIENCE, Movement, Position
from dev.chaos.offsets import Offsets
from dev.starved import Running, Starved

INTERVAL = 0.5
"""Seconds between two looks."""


class Watch(Background):
    """Follows a group until stopped.

    Args:
        offsets: of the group.
        findings: takes what must not be, as sentences.
        services: those that must get on; where the machine has no core for them, they may take
            longer.
        patience: seconds that a partition with something unread may stand still.
    """

    def __init__(
        self,
        offsets: Offsets,
        findings: list[str],
        services: Callable[[], Iterable[Running]],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self.movement = Movement(patience)
        self._offsets = offsets
        self._findings = findings
        self._services = services
        self._starved = Starved()
        self._excuses = 0
        self._unseen = False
        """Whether something excusable has happened since the last look."""
        self._looks = 0
        self._looked = asyncio.Condition()

    async def stop(self) -> None:
        """End and disconnect."""
        await super().stop()
        await self._offsets.close()

    @contextlib.contextmanager
    def standstill(self) -> Iterator[None]:
        """Excuses lack of progress within the block: a dependency is down."""
        self._excuses += 1
        try:
            yield
        finally:
            self._excuses -= 1
            self._unseen = True

    async def mark(self) -> dict[Position, int]:
        """The committed offsets, read after this call."""
        # The look that is under way may have begun before.
        seen = self._looks
        await self._until(lambda looks: looks >= seen + 2)
        return dict(self.movement.committed)

    async def moved_on(
        self, mark: dict[Position, int], within: float, topics: Iterable[str] = ()
    ) -> float | None:
        """Seconds until every partition (of these topics, or all) has moved on; None: not in time.

        Args:
            mark: what was committed at the beginning.
            within: seconds.
            topics: to look at; all without.
        """
        wanted, began, first = tuple(topics), time.monotonic(), self._looks

        def moved(looks: int) -> bool:
            return looks > first and not self.movement.standing(mark, wanted)

        try:
            async with asyncio.timeout(within):
                await self._until(moved)
        except TimeoutError:
            return None
        return time.monotonic() - began

    async def drained(self, within: float) -> bool:
        """Whether everything is committed within so many seconds; nothing may be produced."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            await self.mark()
            if not self.movement.lag:
                return True
        return False

    async def _until(self, condition: Callable[[int], bool]) -> None:
        """Wait for a condition, evaluated after each poll with the number of polls."""
        async with self._looked:
            await self._looked.wait_for(lambda: condition(self._looks))

    async def _run(self) -> None:
        while True:
            try:
                committed, ends = await self._offsets.read()
            except (KafkaError, OSError, TimeoutError):
                self._unseen = True
                await asyncio.sleep(INTERVAL)
                continue
            excused = bool(self._excuses) or self._unseen
            self._unseen = False
            self._findings += self.movement.observe(
                time.monotonic(),
                committed,
                ends,
                excused=excused,
                starved=self._starved.since_last(self._services()),
            )
            async with self._looked:
                self._looks += 1
                self._looked.notify_all()
            await asyncio.sleep(INTERVAL)
