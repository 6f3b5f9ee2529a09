"""Receiving the body of a write, within bounds."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from app.kafka.byte_budget import ByteBudget

_PIECE = 256 * 1024
_GZIP_HEADER = 16
"""Makes zlib expect gzip's header and trailer."""


class BodyTooLarge(Exception):  # noqa: N818 - the answer's name
    """Larger than `GATEWAY_MAX_BODY_BYTES`."""


class TooSlow(Exception):  # noqa: N818
    """The client did not send its body in time."""


class NoRoom(Exception):  # noqa: N818
    """Too many bytes are in flight to receive another body now."""


@dataclass(frozen=True, slots=True)
class Body:
    """A received body.

    Attributes:
        raw: as it came.
        data: decompressed; None if it can't be, which CouchDB may explain.
    """

    raw: bytes
    data: bytes | None


class _Reservation:
    """Bytes of one body in the budget; waits for room no longer than the deadline."""

    def __init__(self, budget: ByteBudget, limit: int, deadline: float) -> None:
        self.held = 0
        self._budget = budget
        self._limit = limit
        self._deadline = deadline

    async def hold(self, size: int) -> None:
        """Hold at least `size` bytes in all."""
        if size > self._limit:
            raise BodyTooLarge
        if size > self.held:
            more = size - self.held
            try:
                async with asyncio.timeout(self._deadline):
                    await self._budget.acquire(more)
            except TimeoutError:
                raise NoRoom from None
            self.held = size


@asynccontextmanager
async def received(
    request: web.Request,
    budget: ByteBudget,
    *,
    limit: int,
    room_deadline: float,
    deadline: float,
) -> AsyncIterator[Body]:
    """Receive a body; its bytes count as in flight until the context ends.

    Args:
        request: plain or gzipped, not decompressed by the server.
        budget: bounds the bytes of all bodies.
        limit: most bytes, decompressed.
        room_deadline: seconds to wait for room.
        deadline: seconds for the client to send it.

    Raises:
        BodyTooLarge: over the limit.
        NoRoom: no room in time.
        TooSlow: the body did not arrive in time.
        ConnectionError: the client left.
    """
    reservation = _Reservation(budget, limit, room_deadline)
    try:
        await reservation.hold(request.content_length or 0)
        try:
            async with asyncio.timeout(deadline):
                raw = await _read(request, reservation)
        except TimeoutError:
            raise TooSlow from None
        if request.headers.get("Content-Encoding", "identity").lower() == "gzip":
            yield Body(raw, await _gunzip(raw, reservation))
        else:
            yield Body(raw, raw)
    finally:
        budget.release(reservation.held)


async def _read(request: web.Request, reservation: _Reservation) -> bytes:
    body = bytearray()
    async for piece in request.content.iter_any():
        await reservation.hold(len(body) + len(piece))
        body += piece
    return bytes(body)


async def _gunzip(raw: bytes, reservation: _Reservation) -> bytes | None:
    unzip = zlib.decompressobj(zlib.MAX_WBITS | _GZIP_HEADER)
    data = bytearray()
    rest = raw
    try:
        while not unzip.eof:
            piece = unzip.decompress(rest, _PIECE)
            rest = unzip.unconsumed_tail
            if not piece and not unzip.eof:
                return None  # cut off
            await reservation.hold(len(raw) + len(data) + len(piece))
            data += piece
            await asyncio.sleep(0)  # others get their turn while a large one unfolds
    except zlib.error:
        return None
    return None if unzip.unused_data else bytes(data)
