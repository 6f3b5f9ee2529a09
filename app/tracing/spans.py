"""What the work calls so that it can be traced; does nothing unless that is on."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any, Protocol

import aiohttp

CHUNK: ContextVar[Any] = ContextVar("CHUNK", default=None)
"""The span of the chunk that is being worked on; None where nothing is traced."""

CHUNKS: ContextVar[Sequence[Any]] = ContextVar("CHUNKS", default=())
"""The spans of the chunks whose documents a request to the database carries."""

PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Partition(Protocol):
    """Of a topic."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its number."""


class Traced(Protocol):
    """A chunk."""

    records: Sequence[Any]
    first_offset: int
    count: int

    @property
    def tp(self) -> Partition:
        """Where it was read."""


class Sent(Protocol):
    """A record that is about to be sent."""

    headers: list[tuple[str, bytes | None]]


class Tracing:
    """Traces nothing, at no cost."""

    def chunk(self, step: str, chunk: Traced) -> AbstractContextManager[object]:  # noqa: ARG002
        """The work of a step on a chunk, for as long as the block runs."""
        return _NOTHING

    def carry(self, sources: Iterable[Any], sent: Iterable[Sent]) -> None:
        """Have records that are sent say which trace the ones that they come from belong to."""

    def of_requests(self) -> list[aiohttp.TraceConfig]:
        """What traces the requests of a session of aiohttp."""
        return []

    async def close(self) -> None:
        """Send what was traced, within a deadline."""


_NOTHING: AbstractContextManager[object] = nullcontext()


def installed() -> bool:
    """Whether the extra is there; imports nothing of it but its packages' outermost ones."""
    try:
        return all(find_spec(name) for name in PACKAGES)
    except ModuleNotFoundError:
        return False


def open_tracing(*, on: bool, app_id: str, worker: str | None) -> Tracing:
    """What traces the work.

    Args:
        on: whether anything is traced; then the extra must be installed.
        app_id: names the service, unless OTEL_SERVICE_NAME does.
        worker: tells this worker from others; None: its process id does.
    """
    if not on:
        return Tracing()
    # Half a second of imports, for those alone who want them.
    from app.tracing.telemetry import exporting  # noqa: PLC0415

    return exporting(app_id, worker)
