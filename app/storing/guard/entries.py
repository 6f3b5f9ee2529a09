"""Tells the entries of the guard's table from what others wrote to its changelog."""

import math
import re
import struct
from typing import Final

from app.storing.guard.index import DIGEST_SIZE, HEADER_SIZE

HEADER: Final = struct.Struct(">d8s")
"""When a segment was begun (epoch seconds) and its tag, in `HEADER_SIZE` bytes."""

SEGMENT_BYTES: Final = 4096
"""Size in bytes at which a new segment is begun: a few hundred digests."""

_FURTHER_ENTRIES: Final = 1000
_FURTHER_BYTES: Final = 4 * 1024 * 1024
_DEPLOYMENTS: Final = 4
"""Of how many databases a table may hold as much as is remembered of one."""

_key = re.compile(r"([0-9]{1,9})/[0-9]{1,19}").fullmatch
_encoded_key = re.compile(rb'"([0-9]{1,9})/[0-9]{1,19}"').fullmatch


def partition_of(key: str, value: bytes) -> int | None:
    """The partition that an entry belongs to; None if it is not an entry of a guard.

    Args:
        key: `<partition>/<offset>`.
        value: a header and at least one digest.
    """
    found = _key(key)
    return int(found[1]) if found is not None and _is_segment(value) else None


def is_entry(partition: int, key: bytes | None, value: bytes | None) -> bool:
    """Whether a record of the changelog is an entry of this partition, or tells that one is gone.

    Args:
        partition: of the changelog.
        key: as it stands in Kafka, which is JSON.
        value: None for an entry that is gone.
    """
    found = _encoded_key(key or b"")
    if found is None or int(found[1]) != partition:
        return False
    return value is None or _is_segment(value)


def _is_segment(value: bytes) -> bool:
    if len(value) <= HEADER_SIZE or len(value) % DIGEST_SIZE:
        return False
    return math.isfinite(HEADER.unpack_from(value)[0])


def most_entries(records: int) -> tuple[int, int]:
    """How many entries a partition's table can need, and how many bytes in all, with room to spare.

    Args:
        records: how many are remembered.
    """
    digests = _DEPLOYMENTS * records * DIGEST_SIZE
    return _FURTHER_ENTRIES + digests // SEGMENT_BYTES, _FURTHER_BYTES + digests
