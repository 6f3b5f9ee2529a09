"""The database or its proxy fails, in every way that it can."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dev.chaos import answers
from dev.chaos.answers import Behaviour
from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import Stage

OUTAGE = 2.5
"""Times the session timeout, so that a worker that waits must keep its place."""

MISBEHAVIOUR = 6.0

ROUTING_GOES_ON = "routing goes on, no worker leaves the group or ends"
SETTLED = "every document is settled by what the database says afterwards"


async def down(stage: Stage) -> None:
    """Connections are refused."""
    with stage.watch.standstill():
        await stage.database.down()
        try:
            await _outage(stage)
        finally:
            await stage.database.up()


def outage(behaviour: Callable[[Stage], Behaviour]) -> Callable[[Stage], Awaitable[None]]:
    """Nothing can be stored for longer than the session timeout."""

    async def inflict(stage: Stage) -> None:
        with stage.watch.standstill(), stage.database.behaving(behaviour(stage)):
            await _outage(stage)

    return inflict


def misbehaviour(
    behaviour: Callable[[Stage], Behaviour], seconds: float = MISBEHAVIOUR
) -> Callable[[Stage], Awaitable[None]]:
    """The database answers oddly for a while, but stores."""

    async def inflict(stage: Stage) -> None:
        before = stage.database.misbehaved
        with stage.watch.standstill(), stage.database.behaving(behaviour(stage)):
            await asyncio.sleep(seconds)
        if stage.alone and stage.database.misbehaved == before:
            stage.findings.append("nobody asked the database: the fault was not provoked")

    return inflict


async def silence(stage: Stage) -> None:
    """It accepts requests and never answers."""
    over = asyncio.Event()
    try:
        with (
            stage.watch.standstill(),
            stage.database.behaving(answers.silent(stage.random, over)),
        ):
            await _outage(stage)
    finally:
        over.set()


async def _outage(stage: Stage) -> None:
    """An outage, during which routing has to go on."""
    seconds = OUTAGE * stage.session
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(seconds))
        if stage.alone:
            topics = stage.flow.setup.read_topics
            group.create_task(stage.goes_on(seconds, "routing, while the database is away", topics))


def every_other(entries: list[Any]) -> list[Any]:
    """Every other entry is missing."""
    return entries[::2]


def backwards(entries: list[Any]) -> list[Any]:
    """The entries in reverse order."""
    return entries[::-1]


def none(_entries: list[Any]) -> list[Any]:
    """No entries at all."""
    return []


def _refusing(status: int, **headers: str) -> Callable[[Stage], Behaviour]:
    return lambda _stage: answers.refusing(status, **headers)


def _anything(stage: Stage) -> Behaviour:
    random = stage.random
    return answers.any_of(
        random,
        answers.honest,
        answers.refusing(429),
        answers.refusing(500),
        answers.refusing(503),
        answers.slow(random, 2.0),
        answers.cutting,
        answers.accepting,
        answers.rewriting(every_other),
        answers.rewriting(backwards),
        answers.page(random, 200),
        answers.page(random, 502),
    )


FAULTS = (
    Fault("database-down", Kind.DATABASE, ROUTING_GOES_ON, down, short=1),
    Fault("database-429", Kind.DATABASE, ROUTING_GOES_ON, outage(_refusing(429, Retry_After="1"))),
    Fault("database-500", Kind.DATABASE, ROUTING_GOES_ON, outage(_refusing(500))),
    Fault("database-503", Kind.DATABASE, ROUTING_GOES_ON, outage(_refusing(503))),
    Fault("database-silent", Kind.DATABASE, ROUTING_GOES_ON, silence),
    Fault(
        "database-slow",
        Kind.DATABASE,
        "memory and requests stay bounded, everything is stored later",
        misbehaviour(lambda stage: answers.slow(stage.random, 3.0)),
    ),
    Fault(
        "database-cuts",
        Kind.DATABASE,
        "what was written before the connection was cut is not written again",
        misbehaviour(lambda _stage: answers.cutting),
    ),
    Fault(
        "database-202",
        Kind.DATABASE,
        "accepted is written",
        misbehaviour(lambda _stage: answers.accepting),
    ),
    Fault(
        "database-fewer-entries",
        Kind.DATABASE,
        SETTLED,
        misbehaviour(
            lambda stage: answers.any_of(
                stage.random, answers.rewriting(every_other), answers.rewriting(none)
            )
        ),
    ),
    Fault(
        "database-reordered-entries",
        Kind.DATABASE,
        "entries are matched by id",
        misbehaviour(lambda _stage: answers.rewriting(backwards)),
    ),
    Fault(
        "database-html",
        Kind.DATABASE,
        SETTLED,
        misbehaviour(
            lambda stage: answers.any_of(
                stage.random,
                *(answers.page(stage.random, status) for status in (200, 201, 400, 500, 502, 504)),
            )
        ),
    ),
    Fault(
        "database-anything",
        Kind.DATABASE,
        SETTLED,
        misbehaviour(_anything, 2 * MISBEHAVIOUR),
        rounds=2,
    ),
)
