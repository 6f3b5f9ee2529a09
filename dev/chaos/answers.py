"""Ways in which a database or the proxy before it misbehaves, one function each."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import web

PAGE = "<html><head><title>Bad Gateway</title></head><body>nginx</body></html>"
BULK = "_bulk_docs"


@dataclass(frozen=True)
class Answer:
    """An answer of the database.

    Attributes:
        status: of HTTP.
        body: as it came.
        headers: those that are not about the connection.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Ask = Callable[[], Awaitable[Answer]]
"""Passes the request on."""

Behaviour = Callable[[web.Request, Ask], Awaitable[Answer | None]]
"""Answers a request; None: the connection is cut instead."""


async def honest(_request: web.Request, ask: Ask) -> Answer:
    """Passes the request on unchanged."""
    return await ask()


def refusing(status: int, **headers: str) -> Behaviour:
    """Answers with an error without writing; `_` in header names becomes `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def behave(_request: web.Request, _ask: Ask) -> Answer:
        return _json(status, {"error": "unavailable", "reason": "chaos"}, named)

    return behave


def slow(random: Random, longest: float) -> Behaviour:
    """Answers correctly after a random delay of up to `seconds`."""

    async def behave(_request: web.Request, ask: Ask) -> Answer:
        await asyncio.sleep(random.uniform(0, longest))
        return await ask()

    return behave


def silent(random: Random, until: asyncio.Event) -> Behaviour:
    """Accepts the request, writes it or not, and never answers before the fault ends."""

    async def behave(_request: web.Request, ask: Ask) -> None:
        if random.random() < 0.5:  # noqa: PLR2004 - one half
            await ask()
        await until.wait()

    return behave


async def cutting(_request: web.Request, ask: Ask) -> None:
    """Writes, then drops the connection instead of answering."""
    await ask()


async def accepting(_request: web.Request, ask: Ask) -> Answer:
    """Turns 201 into 202: written without a quorum."""
    answer = await ask()
    status = 202 if answer.status == web.HTTPCreated.status_code else answer.status
    return Answer(status, answer.body, answer.headers)


def rewriting(change: Callable[[list[Any]], list[Any]]) -> Behaviour:
    """Writes, then answers with altered entries."""

    async def behave(request: web.Request, ask: Ask) -> Answer:
        answer = await ask()
        if not request.path.endswith(BULK) or answer.status >= 400:  # noqa: PLR2004
            return answer
        return _json(answer.status, change(json.loads(answer.body)))

    return behave


def page(random: Random, status: int) -> Behaviour:
    """Answers with a proxy's HTML page, after or instead of writing."""

    async def behave(_request: web.Request, ask: Ask) -> Answer:
        if random.random() < 0.5:  # noqa: PLR2004 - one half
            await ask()
        return Answer(status, PAGE.encode(), {"Content-Type": "text/html"})

    return behave


def any_of(random: Random, *behaviours: Behaviour) -> Behaviour:
    """Picks another behaviour for each request."""

    async def behave(request: web.Request, ask: Ask) -> Answer | None:
        return await random.choice(behaviours)(request, ask)

    return behave


def _json(status: int, content: object, headers: dict[str, str] | None = None) -> Answer:
    told = {"Content-Type": "application/json", **(headers or {})}
    return Answer(status, json.dumps(content).encode(), told)
