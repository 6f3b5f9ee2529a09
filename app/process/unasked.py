"""Bounds what a server may send unasked.

Before its response, a server may send any number of interim ones (1xx; RFC 9110, 15.2). aiohttp
3.14 reads all that have arrived before anything else gets its turn, and keeps what arrives while
nobody is waiting for a response. A server that sends nothing else would block everything and fill
the memory. A chunk of a body may begin with any number of zeros and have any extensions (RFC 9112,
7.1.1), which do not count as part of the body. A server that sends nothing else would be read
without end.
"""

import functools
from asyncio import AbstractEventLoop
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_INTERIM: Final = 20
"""Answers before the one that counts. CouchDB sends none unless asked, a proxy one or two."""

LONGEST_HEADS: Final = 1024 * 1024
"""Bytes of all of them, and of the head of the one that counts; CouchDB's have some hundred."""

LONGEST_FRAMES: Final = 1024 * 1024
_FRAME: Final = 8
"""Bytes around the chunks of a body: so many in all, and so many for each byte of the body. A chunk
of one byte takes five; what exceeds that are extensions or leading zeros, which nobody needs."""

_PIECE: Final = 4096
"""Bytes of heads that are read before the next look: two hundred of the shortest answers."""

_PIECE_OF_BODY: Final = 16 * 1024

_INTERIM: Final = range(100, 200)
_SWITCHED: Final = 101


class UnaskedError(aiohttp.ClientConnectionError):
    """A server sends what nobody asked for; the message says what."""


class Connector(aiohttp.TCPConnector):
    """Makes connections that end when more comes on them than was asked for.

    Whoever waits for an answer then gets `UnaskedError`.

    Args:
        options: of `TCPConnector`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: type[ResponseHandler] = _Connection
        self._factory = functools.partial(make, loop=self._loop)


class _Connection(ResponseHandler):
    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._begin()

    def _begin(self) -> None:
        self._interim = 0
        self._answers = 0
        self._head_bytes = 0
        self._body_bytes = 0

    def set_response_params(self, **parameters: Any) -> None:
        """The next request is on its way."""
        self._begin()
        super().set_response_params(**parameters)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """The head of an answer is there."""
        if data[0].code in _INTERIM and data[0].code != _SWITCHED:
            self._interim += 1
        else:
            self._answers += 1
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Read a little at a time: a body may end anywhere, and answers follow."""
        at = 0
        while len(data) - at > _PIECE:
            end = at + (_PIECE_OF_BODY if self._reads_body() else _PIECE)
            if not self._read(data[at:end]):
                return
            at = end
        if at < len(data) or self._reads_body():
            self._read(data[at:])

    def _reads_body(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()

    def _read(self, data: bytes) -> bool:
        """Whether to read on."""
        super().data_received(data)
        if self._exception is not None:
            return False
        if self._reads_body():
            self._body_bytes += len(data)
        else:
            self._head_bytes += len(data)
        wrong = self._wrong()
        if wrong is None:
            return True
        error = UnaskedError(wrong)
        self.set_exception(error)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
        return False

    def _wrong(self) -> str | None:
        if self._interim > MOST_INTERIM:
            return f"the server sends more than {MOST_INTERIM} interim answers (1xx) to a request"
        if self._answers > 1:
            return "the server sends an answer that nobody asked for"
        if self._head_bytes > LONGEST_HEADS:
            return "the server's headers have no end"
        payload = self._payload
        if payload is not None and (
            self._body_bytes > LONGEST_FRAMES + _FRAME * payload.total_bytes
        ):
            return "the server sends nothing but the frames of chunks"
        return None
