"""What reads such inputs, and what it may raise."""

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiokafka import codec
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint
from faust.types import TP

from app.dead_letters.activation import activation_id
from app.kafka.patches.fetched_batches import Batches, Unpacked
from app.routing import Reject, Skip, Store, route
from app.settings import RoutingSettings
from app.storing.guard import identify
from models.dead_letter import ATTEMPTS, DeadLetter, true_headers, without_replay
from models.reasons import RejectReason
from models.reserved import is_reserved
from models.roles import TopicRole
from openwhisk.gateway.records import Taking

_RULES: Final = RoutingSettings.model_validate(
    {"PERSISTER_NON_BLOCKING_STORE_LEVEL": "STORE_FAILURES"}
)
_TAKING: Final = Taking(TopicRole.ACTIVATIONS, 1 << 23, lambda _logs: None)
_CRC, _ATTRIBUTES, _SUMMED, _RECORDS, _LENGTH = 17, 21, 21, 61, 8
_LAST_DELTA, _COUNT = 23, 57
_HEADER_BYTES: Final = 200
_NAME: Final = 100
"""Bytes of a name of a header."""
_CLAIMED: Final = 20
"""Records of a batch that claim offsets."""
_ENOUGH: Final = 1 << 30


def routing(value: bytes) -> None:
    """Any record of one of OpenWhisk's topics."""
    decision = route(TopicRole.OTHERS, value, 7, _RULES)
    if not isinstance(decision, Store | Skip | Reject):
        raise TypeError(type(decision).__name__)


def taking(value: bytes) -> None:
    """Any document that is written through the gateway."""
    _TAKING.take(value, 1_767_325_445_123)


def digest(value: bytes) -> None:
    """Any record of the internal topic."""
    with suppress(ValueError):
        identify(value)


def pipeline(value: bytes) -> None:
    """Such a record from topic to topic, and its document from there on, as a worker takes both."""
    decision = route(TopicRole.COMPLETED, value, 7, _RULES)
    if isinstance(decision, Store):
        identify(decision.document)


def letters(value: bytes) -> None:
    """A dead letter of such a record, on its way there and back."""
    letter = DeadLetter(
        topic="completed0",
        partition=0,
        offset=0,
        timestamp=0,
        reason=RejectReason.NOT_JSON,
        detail="",
        value=value,
    )
    DeadLetter.from_record(None, value, letter.to_headers())
    letter.shortened().to_headers()
    activation_id(letter)
    is_reserved(value)


def headers(value: bytes) -> None:
    """Headers of a record, some of them called as ours are."""
    names = (*(name for name, _ in _OURS), ATTEMPTS, value[:_HEADER_BYTES].decode(errors="replace"))
    pieces = [value[at : at + 999] for at in range(0, len(value), 999)]
    given: list[tuple[str, bytes | None]] = [
        (names[number % len(names)], piece) for number, piece in enumerate(pieces)
    ]
    for one in (given, _OURS + given, given + _OURS):
        without_replay(one)
        kept, attempts = true_headers(one)
        DeadLetter(
            topic="t",
            partition=0,
            offset=0,
            timestamp=0,
            reason=RejectReason.NOT_JSON,
            detail="",
            headers=tuple(kept),
            attempts=attempts,
        ).replay_headers("1")


_OURS: Final[list[tuple[str, bytes | None]]] = list(
    DeadLetter(
        topic="t",
        partition=0,
        offset=0,
        timestamp=0,
        reason=RejectReason.NOT_JSON,
        detail="",
        attempts=2,
    ).to_headers()
)


def batches(value: bytes) -> None:
    """A batch with these bytes as its records or in one, packed in any way or only said to be."""
    part = value[: len(value) // len(_PACKED)]
    for number, pack in enumerate(_PACKED):
        _unpack(number, bytes(pack(part)))
        _unpack(number, part)
        _unpack(number, bytes(pack(_record(part))))
        claimed = [-1 - byte if byte & 1 else byte for byte in part[:_CLAIMED]]
        claiming = b"".join(map(_claiming, claimed))
        _unpack(number, bytes(pack(claiming)), len(claimed))


def _claiming(offset: int) -> bytes:
    """A record that claims this offset, counted from its batch's."""
    # Attributes and time; no key, no value, no headers.
    body = b"".join((bytes(2), _varint(offset), _varint(-1), _varint(-1), bytes(1)))
    return _varint(len(body)) + body


def _record(value: bytes) -> bytes:
    """A record with these bytes for the names of its headers."""
    names = [value[at : at + _NAME] for at in range(0, len(value), _NAME)]
    fields = [varint for name in names for varint in (_varint(len(name)), name, _varint(-1))]
    # Attributes, offset and time; no key, no value.
    body = b"".join((bytes(3), _varint(-1), _varint(-1), _varint(len(names)), *fields))
    return _varint(len(body)) + body


def _varint(number: int) -> bytes:
    encoded = bytearray()
    encode_varint(number, encoded.append)
    return bytes(encoded)


_PACKED: Final[tuple[Callable[[bytes], Any], ...]] = (
    bytes,
    codec.gzip_encode,
    codec.snappy_encode,
    codec.lz4_encode,
    codec.zstd_encode,
)


def _unpack(number: int, records: bytes, count: int = 1) -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, 1000, None, b"", [])
    encoded = bytearray(builder.build()[:_RECORDS]) + records
    struct.pack_into(">i", encoded, _LENGTH, len(encoded) - 12)
    struct.pack_into(">h", encoded, _ATTRIBUTES, number)
    struct.pack_into(">i", encoded, _LAST_DELTA, count - 1)
    struct.pack_into(">i", encoded, _COUNT, count)
    struct.pack_into(">I", encoded, _CRC, calc_crc32c(bytes(encoded[_SUMMED:])))
    fetched = PartitionRecords(TP("t", 0), Batches(bytes(encoded)), None, 0, None, None, True, 0)
    unpacked = Unpacked(fetched)
    offsets = [record.offset for record in unpacked.take(_ENOUGH)]
    if offsets != sorted(set(offsets) & set(range(count))) or unpacked.next_fetch_offset != count:
        raise ValueError("offsets that the batch does not have")


TARGETS: Final[tuple[Callable[[bytes], None], ...]] = (
    *(routing, taking, digest, pipeline, letters, headers, batches),
)

STRICTER: Final[dict[Callable[[bytes], None], float]] = {pipeline: 0.5}
"""What a megabyte may cost where it is less than elsewhere: a kilobyte on the wire can be many."""
