"""Headers that cannot be passed on as they came.

A header of a request whose bytes are not UTF-8 would lose them on its way to CouchDB: the client
library sends text only. Such a request is refused.

Control characters are kept out of the headers of answers.

What CouchDB, a `_show` function or a proxy in between answers may have some, and so may a revision
that becomes an `ETag`. Such a header is left out: sent, it could end where another one begins.
"""

import logging
import re
from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy, MutableMultiMapping

from app.process.printable import shown

logger = logging.getLogger(__name__)

_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
"""Characters that no header may have (RFC 9110, 5.5)."""

_undecoded: Final = re.compile(r"[\udc80-\udcff]").search
"""Bytes that were not UTF-8, as Python keeps them in text (`surrogateescape`)."""


_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers about a single connection (RFC 9110, 7.6.1)."""


_MOST_HOPS: Final = 100
"""Names in `Connection`; clients send one or two, and each is looked at."""


def has_many_hops(headers: CIMultiDictProxy[str]) -> bool:
    """Whether `Connection` names more headers than are looked at."""
    return sum(1 + value.count(",") for value in headers.getall("Connection", ())) > _MOST_HOPS


def can_be_passed_on(headers: Mapping[str, str]) -> bool:
    """Whether the headers of a request can be sent to CouchDB as they came."""
    return all(value.isascii() or not _undecoded(value) for value in headers.values())


def without_hops(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that are meant for whoever is behind this connection, too."""
    dropped = {
        name.strip().lower()
        for value in headers.getall("Connection", ())
        for name in value.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) not in _HOP_BY_HOP and lower not in dropped
    )


def leave_out_unsendable(headers: MutableMultiMapping[str]) -> None:
    """Remove every header with a control character in its value."""
    for name in {name for name, value in headers.items() if _control(value)}:
        logger.warning(
            "left the header %s out of an answer: what CouchDB says has a control character in it",
            shown(name, longest=100),
        )
        headers.popall(name, None)  # may already be removed under another spelling


def sendable_reason(reason: str | None) -> str | None:
    """The reason phrase of a status line; None for the default if it has a control character."""
    return None if reason is not None and _control(reason) else reason
