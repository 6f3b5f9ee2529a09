"""Requests to the database: at its pace, repeated for as long as what fails may pass."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.couchdb.answers import Entry
from app.couchdb.availability import Availability
from app.couchdb.backoff import Backoff
from app.couchdb.database import Database
from app.couchdb.errors import (
    DatabaseError,
    DatabaseMissing,
    Misconfigured,
    TooMuchAtOnce,
    Unavailable,
)
from app.couchdb.gate import Admission, Gate
from app.couchdb.pace import ConcurrencyLimit
from app.couchdb.stats import WriterStats
from app.storing.sink import Document

logger = logging.getLogger(__name__)

T = TypeVar("T")

PASSING = Backoff(first=0.1, longest=5.0)
"""For what passes by itself."""

OPERATOR = Backoff(first=1.0, longest=30.0)
"""For what someone has to mend."""

LONGEST_PAUSE = 300.0
"""Seconds; a `Retry-After` beyond that is not believed."""

ATTEMPTS_AT_A_SIZE = 3
"""Time-outs and the like of a request of several documents, after which it is divided."""

SUSPICIOUS_FAILURES = 10
"""Failures of one request while others succeed, after which it is worth a line in the log."""


@dataclass(slots=True)
class Part:
    """Documents that travel in one request; no id twice.

    Args:
        documents: In the order of the request.
        maybe_written: An earlier attempt may have written them although no answer said so.
        fruitless: Times that the database neither acknowledged nor refused them.
        contradictions: Those among them when it reported a conflict with a document it lacks.
    """

    documents: Sequence[Document]
    maybe_written: bool = False
    fruitless: int = 0
    contradictions: int = 0


@dataclass(slots=True)
class _Trouble:
    """What has happened to one request so far."""

    successes: int
    """Those of all requests when this one began."""
    failures: int = 0
    broken: int = 0
    """Failures that its size or something in it may have caused."""
    alone: bool = False
    """Only this one keeps failing: that says nothing about the database any more."""

    @property
    def divisible(self) -> bool:
        return self.broken >= ATTEMPTS_AT_A_SIZE


class Requests:
    """Sends requests and returns only with an answer.

    Args:
        database: Where to.
        gate: Admits every attempt.
        limit: Learns from every attempt.
        availability: Is told of every failure and success.
        stats: Counts every attempt.
        sleep: Waits for seconds.
        clock: Seconds, monotonic.
        random: A number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        database: Database,
        *,
        gate: Gate,
        limit: ConcurrencyLimit,
        availability: Availability,
        stats: WriterStats,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.on_request: Callable[[str, float], None] = _ignore
        """Called after every attempt with its status (or a word) and its seconds."""
        self.on_rest: Callable[[], None] = _nothing
        """Called when a request begins to wait for its next attempt."""
        self.resting = 0
        """Requests that wait for their next attempt."""
        self._database = database
        self._gate = gate
        self._limit = limit
        self._availability = availability
        self._stats = stats
        self._sleep = sleep
        self._clock = clock
        self._random = random

    async def prepare(self) -> None:
        """`Database.prepare`, until it succeeds."""
        await self._until_answered(self._prepare, may_create=False)

    async def bulk(self, part: Part) -> list[Entry]:
        """Write a part; marks it when an attempt may have been written without an answer.

        Raises:
            RequestRefused, RequestTooLarge: The request cannot succeed as it is.
            TooMuchAtOnce: Nor in the time it is given.
        """

        async def write() -> tuple[str, list[Entry]]:
            self._stats.sizes.observe(len(part.documents))
            self._stats.bytes.observe(sum([len(document.body) for document in part.documents]))
            answer = await self._database.bulk(part.documents)
            return str(answer.status), answer.entries

        return await self._until_answered(write, part)

    async def read_back(self, ids: Sequence[str]) -> dict[str, bytes]:
        """`Database.read_back`, until it succeeds."""

        async def read() -> tuple[str, dict[str, bytes]]:
            return "200", await self._database.read_back(ids)

        return await self._until_answered(read)

    async def pause(self, attempt: int) -> None:
        """Wait before documents are written again that an answer left open."""
        await self._rest(PASSING.delay(attempt, self._random))

    async def _prepare(self) -> tuple[str, None]:
        await self._database.prepare()
        return "200", None

    async def _until_answered(
        self,
        send: Callable[[], Awaitable[tuple[str, T]]],
        part: Part | None = None,
        *,
        may_create: bool = True,
    ) -> T:
        trouble = _Trouble(self._availability.successes)
        while True:
            try:
                return await self._attempt(send, part, trouble)
            except (Unavailable, Misconfigured) as error:
                self._stats.retries[error.cause] += 1
                self._consider(error, trouble, part)
                created = (
                    may_create and isinstance(error, DatabaseMissing) and await self._created()
                )
                operator = isinstance(error, Misconfigured) and not created
                backoff = OPERATOR if operator else PASSING
                await self._rest(backoff.delay(trouble.failures, self._random))
            if part is not None and len(part.documents) > 1 and trouble.divisible:
                raise TooMuchAtOnce

    def _consider(
        self, error: Unavailable | Misconfigured, trouble: _Trouble, part: Part | None
    ) -> None:
        trouble.failures += 1
        if part is None or isinstance(error, Misconfigured):
            return
        part.maybe_written |= error.maybe_written
        trouble.broken += error.smaller_may_pass
        others_succeed = self._availability.successes > trouble.successes
        if trouble.failures >= SUSPICIOUS_FAILURES and others_succeed and not trouble.alone:
            trouble.alone = True
            logger.error(
                "the database answers, but not to a request of %d documents that begins with %s: "
                "%s; it is retried, and the records behind it wait",
                len(part.documents),
                part.documents[0].id,
                error,
            )

    async def _attempt(
        self, send: Callable[[], Awaitable[tuple[str, T]]], part: Part | None, trouble: _Trouble
    ) -> T:
        documents = len(part.documents) if part is not None else 0
        async with self._gate.admit(documents) as admission:
            try:
                status, answer = await send()
            except DatabaseError as error:
                self._note_failure(error, admission, trouble)
                raise
            self._count(status, admission)
            self._availability.succeeded()
            if documents:
                self._limit.answered(
                    started=admission.started,
                    ended=self._clock(),
                    in_flight=admission.in_flight,
                    documents=documents,
                )
            return answer

    def _note_failure(self, error: DatabaseError, admission: Admission, trouble: _Trouble) -> None:
        self._count(error.cause, admission)
        if not isinstance(error, (Unavailable, Misconfigured)):
            self._availability.succeeded()  # it answered, and not about itself
            return
        if trouble.alone:
            return
        self._availability.failed(error)
        if isinstance(error, Unavailable):
            self._limit.overloaded(started=admission.started, now=self._clock())
            if error.retry_after is not None:
                self._gate.close_for(min(error.retry_after, LONGEST_PAUSE))

    def _count(self, status: str, admission: Admission) -> None:
        seconds = self._clock() - admission.started
        self._stats.requests[status] += 1
        self._stats.durations.observe(seconds)
        self.on_request(status, seconds)

    async def _created(self) -> bool:
        try:
            await self._database.prepare()
        except DatabaseError as error:
            self._availability.failed(error)
            return False
        return True

    async def _rest(self, seconds: float) -> None:
        self.resting += 1
        self.on_rest()
        try:
            await self._sleep(seconds)
        finally:
            self.resting -= 1


def _ignore(_status: str, _seconds: float) -> None:
    pass


def _nothing() -> None:
    pass
