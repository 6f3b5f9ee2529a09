"""How a database, or what stands in front of it, misbehaves: one function for each way."""

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
    """What the database answered.

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
    """As the database itself."""
    return await ask()


def refusing(status: int, **headers: str) -> Behaviour:
    """Answers with an error and writes nothing; `_` stands for `-` in headers' names."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def behave(_request: web.Request, _ask: Ask) -> Answer:
        return _json(status, {"error": "unavailable", "reason": "chaos"}, named)

    return behave


def slow(random: Random, longest: float) -> Behaviour:
    """Does what it should, after up to so many seconds."""

    async def behave(_request: web.Request, ask: Ask) -> Answer:
        await asyncio.sleep(random.uniform(0, longest))
        return await ask()

    return behave


def silent(random: Random, until: asyncio.Event) -> Behaviour:
    """Takes the request, writes it or not, and never answers: the connection is cut at the end."""

    async def behave(_request: web.Request, ask: Ask) -> None:
        if random.random() < 0.5:  # noqa: PLR2004 - one half
            await ask()
        await until.wait()

    return behave


async def cutting(_request: web.Request, ask: Ask) -> None:
    """Writes, and cuts the connection instead of answering."""
    await ask()


async def accepting(_request: web.Request, ask: Ask) -> Answer:
    """202: written, without the quorum."""
    answer = await ask()
    status = 202 if answer.status == web.HTTPCreated.status_code else answer.status
    return Answer(status, answer.body, answer.headers)


def rewriting(change: Callable[[list[Any]], list[Any]]) -> Behaviour:
    """Writes, and answers with changed entries."""

    async def behave(request: web.Request, ask: Ask) -> Answer:
        answer = await ask()
        if not request.path.endswith(BULK) or answer.status >= 400:  # noqa: PLR2004
            return answer
        return _json(answer.status, change(json.loads(answer.body)))

    return behave


def page(random: Random, status: int) -> Behaviour:
    """HTML of a proxy, after writing or instead of it."""

    async def behave(_request: web.Request, ask: Ask) -> Answer:
        if random.random() < 0.5:  # noqa: PLR2004 - one half
            await ask()
        return Answer(status, PAGE.encode(), {"Content-Type": "text/html"})

    return behave


def any_of(random: Random, *behaviours: Behaviour) -> Behaviour:
    """Another one for each request."""

    async def behave(request: web.Request, ask: Ask) -> Answer | None:
        return await random.choice(behaviours)(request, ask)

    return behave


def _json(status: int, content: object, headers: dict[str, str] | None = None) -> Answer:
    told = {"Content-Type": "application/json", **(headers or {})}
    return Answer(status, json.dumps(content).encode(), told)
