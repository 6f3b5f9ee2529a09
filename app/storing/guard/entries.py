"""Tells the entries of the guard's table from what others wrote to its changelog."""

import math
import re
import struct
from typing import Final

from app.storing.guard.index import DIGEST_SIZE, HEADER_SIZE

HEADER: Final = struct.Struct(">d8s")
"""When a segment was begun (epoch seconds) and its tag, in `HEADER_SIZE` bytes."""

_key = re.compile(r"([0-9]{1,9})/[0-9]{1,19}").fullmatch


def partition_of(key: str, value: bytes) -> int | None:
    """The partition that an entry belongs to; None if it is not an entry of a guard.

    Args:
        key: `<partition>/<offset>`.
        value: a header and digests.
    """
    found = _key(key)
    if found is None or len(value) < HEADER_SIZE or len(value) % DIGEST_SIZE:
        return None
    begun, _ = HEADER.unpack_from(value)
    return int(found[1]) if math.isfinite(begun) else None
