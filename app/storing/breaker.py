"""Pauses storing when many documents are refused for the same reason.

The cause may be a new validation function, a proxy's limit, or a record that a new OpenWhisk writes
differently; emptying the stream into the dead letters would help nobody. The refused documents wait
instead and are tried again after a cool-down.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from mode import get_logger

from app.routing.breaker import Breaker, Change, Open
from app.settings import StoreBreakerSettings
from app.storing.sink import Refused

logger = get_logger(__name__)

LOOK_SECONDS = 1.0
"""Seconds between two checks whether a breaker still holds."""

REFUSED_COSTS = 40
"""How many documents a maximum rate could let through, at most, while one is set aside.

Where most are refused, each is sent with ever fewer others and then alone, again and again, and the
probe with it.
"""

_HELD = (
    "Stopped storing: %s. Nothing more is set aside and nothing is lost: records wait in Kafka, as "
    "long as the retention of the internal topic allows. Find out what refuses them: the "
    "database's design documents, or something in front of it. It is tried again after "
    "PERSISTER_STORE_BREAKER_COOLDOWN seconds; PERSISTER_STORE_BREAKER_RATIO, _MINIMUM and "
    "_CONSECUTIVE say how much is too much."
)


def reason_of(refused: Refused) -> str:
    """What similar refusals have in common: the reason and the beginning of the detail."""
    return f"{refused.reason}: {refused.detail.partition(':')[0][:64]}"


class StoreBreaker:
    """A breaker for each reason that documents are set aside for.

    Refusals for which the document itself is the proof do not count. Such a document would be
    refused for ever, so anybody who may write to one topic could stop all storing.

    Args:
        settings: when the breakers open, and for how long.
        documents_per_second: the database's maximum rate; 0: unlimited.
        clock: monotonic seconds.
        wall: epoch seconds, for people.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        settings: StoreBreakerSettings,
        *,
        documents_per_second: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        # At a low rate, no window would ever have the documents that the ratio needs.
        needed = settings.minimum * REFUSED_COSTS
        self._reach = needed / documents_per_second if documents_per_second else 0.0
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._breakers: dict[str, Breaker] = {}

    def observe(self, documents: int, refused: list[Refused]) -> None:
        """Count finished documents, and the refused ones among them."""
        refused = [one for one in refused if not one.proven]
        if not refused and not self._breakers:
            return
        counts = Counter(map(reason_of, refused))
        for reason in counts.keys() - self._breakers.keys():
            self._breakers[reason] = Breaker(self._settings, self._reach)
        now = self._clock()
        for reason, breaker in self._breakers.items():
            count = counts[reason]
            if breaker.open and not count:
                # Other documents say nothing about those that wait for this breaker.
                continue
            example = next((one.detail for one in refused if reason_of(one) == reason), "")
            change = breaker.observe(now, documents, count, example)
            if change is Change.OPENED and breaker.open:
                logger.error(_HELD, breaker.open.why)

    def passed(self, reason: str) -> None:
        """Close a reason's breaker, because a document that waited for it was not refused again."""
        breaker = self._breakers.get(reason)
        if breaker is not None and breaker.open and not breaker.holds(self._clock()):
            breaker.open = None
            logger.warning("Storing again: what was refused (%s) is not any more.", reason)

    def holds(self, refused: Refused) -> bool:
        """Whether documents with this refusal have to wait instead of being set aside."""
        breaker = None if refused.proven else self._breakers.get(reason_of(refused))
        return breaker is not None and breaker.holds(self._clock())

    async def closed(self) -> None:
        """Wait until no breaker holds anything, or it is time to try again."""
        while any(breaker.holds(self._clock()) for breaker in self._breakers.values()):
            await self._sleep(LOOK_SECONDS)

    def reasons(self) -> dict[str, Open]:
        """The open breakers by reason, in epoch seconds."""
        ahead = self._wall() - self._clock()
        return {
            reason: found.open.shifted(ahead)
            for reason, found in self._breakers.items()
            if found.open
        }
