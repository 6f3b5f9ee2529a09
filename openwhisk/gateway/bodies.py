"""Receives the body of a write, within limits of size, pace and memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from openwhisk.gateway.headers import without_hops
from openwhisk.gateway.shares import Share
from openwhisk.gateway.turns import Turns, single

_PIECE = 256 * 1024
_GZIP_HEADER = 16
"""Makes zlib expect gzip's header and trailer."""

_MOST_MEMBERS = 1000
"""Most members of a gzip file, which CouchDB reads one after the other. Each takes microseconds,
however few bytes are in it; tools that write several put 64 KB into each.
"""

_PAUSE = 5.0
"""Seconds that a client may pause while it sends a body."""


class BodyTooLarge(Exception):  # noqa: N818 - the answer's name
    """Larger than `GATEWAY_MAX_BODY_BYTES`."""


class TooSlow(Exception):  # noqa: N818
    """The client did not send its body in time."""


class NoRoom(Exception):  # noqa: N818
    """Too many bytes are in flight to receive another body now."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one body.

    Attributes:
        size: most bytes, both as received and decompressed.
        room: seconds to wait for room in memory.
        time: seconds for the client to send it, without waiting for room.
        pause: seconds that the client may pause while sending.
    """

    size: int
    room: float
    time: float
    pause: float = _PAUSE


@dataclass(frozen=True, slots=True)
class Body:
    """A received body.

    Attributes:
        raw: the body as received.
        data: the decompressed body; None if that fails. CouchDB explains that, or can read it.
    """

    raw: bytes | bytearray
    data: bytes | bytearray | None


@asynccontextmanager
async def received(
    request: web.Request, share: Share, bounds: Bounds, turns: Turns
) -> AsyncIterator[Body]:
    """Receive a body; its bytes count as in flight until the context ends.

    Args:
        request: a request with a plain or gzipped body, which the server has not decompressed.
        share: the body's share of the memory for all bodies.
        bounds: the limits of this body.
        turns: decompresses it.

    Raises:
        BodyTooLarge: the body is over the limit.
        NoRoom: there was no room in time.
        TooSlow: the body did not arrive in time.
        ConnectionError: the client left.
    """
    receiving = _Receiving(share, bounds, turns)
    try:
        if (request.content_length or 0) > bounds.size:
            raise BodyTooLarge
        raw = await receiving.read(request)
        if _is_gzip(request):
            yield Body(raw, await receiving.unzip(raw))
        else:
            yield Body(raw, raw)
    finally:
        share.release()


def _is_gzip(request: web.Request) -> bool:
    """Whether CouchDB is told so, too: a header that `Connection` names does not reach it."""
    name = "Content-Encoding"
    if request.headers.get(name, "identity").lower() != "gzip":
        return False
    return name in without_hops(request.headers)


class _Receiving:
    """Receives one body."""

    def __init__(self, share: Share, bounds: Bounds, turns: Turns) -> None:
        self._share = share
        self._bounds = bounds
        self._turns = turns
        self._owner = share.owners[-1]

    async def read(self, request: web.Request) -> bytearray:
        """Read the body; returned without a copy, which would take a while for a large one."""
        body = bytearray()
        left = self._bounds.time
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            try:
                async with asyncio.timeout(min(self._bounds.pause, left)):
                    piece = await request.content.readany()
            except TimeoutError:
                raise TooSlow from None
            if not piece:
                return body
            left = max(0.0, left - (loop.time() - asked_at))
            await self._hold(len(body) + len(piece))
            body += piece

    async def unzip(self, raw: bytearray) -> bytearray | None:
        """What is in all members of a gzip file; None if it is cut off, or is something else."""
        data = bytearray()
        unzip = None
        members = fed = 0
        rest = b""
        try:
            while rest or fed < len(raw):
                if not rest:  # in slices, because zlib copies what it has not consumed each time
                    rest = bytes(raw[fed : fed + _PIECE])
                    fed += len(rest)
                if unzip is None or unzip.eof:
                    members += 1
                    if members > _MOST_MEMBERS:
                        return None
                    unzip = zlib.decompressobj(zlib.MAX_WBITS | _GZIP_HEADER)
                piece = await self._turns.run(self._owner, single(unzip.decompress, rest, _PIECE))
                # At a member's end, zlib may keep unconsumed input and return nothing for ever.
                rest = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
                await self._hold(len(raw) + len(data) + len(piece))
                data += piece
        except zlib.error:
            return None
        return data if unzip is not None and unzip.eof else None

    async def _hold(self, size: int) -> None:
        if size > self._bounds.size:
            raise BodyTooLarge
        try:
            async with asyncio.timeout(self._bounds.room):
                await self._share.hold(size)
        except TimeoutError:
            raise NoRoom from None
