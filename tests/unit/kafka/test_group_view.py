"""What members of the group say about themselves; any application may have joined it."""

import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import (
    KafkaError,
    NotCoordinatorForGroupError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from faust.types import TP

from app.kafka.group_view import (
    FETCH_BYTES,
    LONGEST_ASSIGNMENT,
    Observer,
    _assigned,
    _first_timestamp,
)
from app.kafka.untimed import NO_TIMESTAMP
from app.settings import KafkaSettings

MANY = LONGEST_ASSIGNMENT // 4


def test_the_partitions_of_a_consumer_are_found() -> None:
    encoded = ConsumerProtocolMemberAssignment(0, [("a", [0, 3]), ("b", [1])], b"user").encode()
    assert _assigned(encoded) == {TP("a", 0), TP("a", 3), TP("b", 1)}


@pytest.mark.parametrize(
    "assignment",
    [
        *(b"", b"\x00", b"\xff" * 50, b'{"connect":"assignment"}'),
        struct.pack(">hi", 0, 2**31 - 1),
        struct.pack(">hih", 0, 1, 1) + b"\xff" + struct.pack(">ii", 0, -1),
        struct.pack(">hih", 0, 1, 1) + b"a" + struct.pack(">i", MANY) + bytes(4 * MANY + 4),
    ],
    ids=["empty", "short", "junk", "another protocol", "endless", "no UTF-8", "very many"],
)
def test_what_is_no_consumers_assignment_holds_nothing(assignment: bytes) -> None:
    assert _assigned(assignment) == frozenset()


@pytest.mark.parametrize("refusal", [TopicAuthorizationFailedError, NotLeaderForPartitionError])
async def test_one_partition_that_may_not_be_read_is_no_silence_of_kafka(
    refusal: type[KafkaError],
) -> None:
    class Client:
        async def _send_request(self, _request: object, _node: int) -> Any:
            return SimpleNamespace(topics=[("a", [(0, refusal.errno, -1, -1, None, None)])])

    observer = Observer(cast("Any", Client()), KafkaSettings())
    assert await observer.oldest(TP("a", 0), 5) is None
    assert await observer.may_read(TP("a", 0)) is (refusal is NotLeaderForPartitionError)


class Coordinated:
    """Two brokers, of which one coordinates the group."""

    def __init__(self) -> None:
        self.coordinator = 1
        self.asked: list[str] = []

    async def find_coordinator(self, _group: str) -> int:
        self.asked.append("coordinator")
        return self.coordinator

    async def describe_consumer_groups(
        self, groups: list[str], group_coordinator_id: int
    ) -> list[Any]:
        if group_coordinator_id != self.coordinator:
            raise NotCoordinatorForGroupError(groups)
        return [SimpleNamespace(groups=[(0, groups[0], "Stable", "", "", [])])]

    async def _send_request(self, request: Any, node: int) -> Any:
        self.asked.append(type(request).__name__)
        if "OffsetFetch" in type(request).__name__:
            code = 0 if node == self.coordinator else NotCoordinatorForGroupError.errno
            return SimpleNamespace(error_code=code, topics=[("a", [(0, 7, "", 0)])])
        raise AssertionError(request)


async def test_the_groups_broker_is_looked_for_again_when_it_is_another_one() -> None:
    client = Coordinated()
    observer = Observer(cast("Any", client), KafkaSettings())
    await observer.look({}, [])
    await observer.look({}, [])
    assert client.asked.count("coordinator") == 1
    client.coordinator = 2
    view = await observer.look({}, [])
    assert view.stable
    assert client.asked.count("coordinator") == 2


def batch(*names: str) -> bytearray:
    """Of records that have a header of these names each."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number, name in enumerate(names):
        builder.append(number, 1000 + number, None, b"value", [(name, b"")])
    return bytearray(builder.build())


def test_the_time_is_that_of_the_record_at_the_offset() -> None:
    assert _first_timestamp(bytes(batch("a", "b", "c")), 1) == 1001
    assert _first_timestamp(bytes(batch("a")), 1) is None


def test_a_record_that_cannot_be_read_has_the_time_of_its_batch() -> None:
    """Otherwise one record would make Kafka look silent for as long as it is the oldest unread."""
    encoded = batch("name", "name")
    encoded[encoded.index(b"name")] = 0xFF
    assert _first_timestamp(bytes(encoded), 0) == 1000


@pytest.mark.parametrize("codec", [0, LegacyRecordBatchBuilder.CODEC_GZIP])
def test_a_record_of_a_format_without_times_is_there_all_the_same(codec: int) -> None:
    """What is not there has no time either: an unread rest of it would not count as unread."""
    builder = LegacyRecordBatchBuilder(0, codec, 1 << 20)
    builder.append(0, timestamp=None, key=None, value=b"value")
    assert _first_timestamp(bytes(builder.build()), 0) == NO_TIMESTAMP


def test_a_broken_batch_of_an_old_format_is_there_all_the_same() -> None:
    builder = LegacyRecordBatchBuilder(1, LegacyRecordBatchBuilder.CODEC_GZIP, 1 << 20)
    builder.append(0, timestamp=1000, key=None, value=b"value")
    encoded = bytes(builder.build())
    assert _first_timestamp(encoded[:-20] + bytes(20), 0) == NO_TIMESTAMP


def test_a_large_batch_is_not_unpacked_for_a_time() -> None:
    """One of a megabyte may have half a million headers, of which each takes eighty bytes."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    builder.append(0, 1000, None, b"", [])
    builder.append(1, 2000, None, b"", [("", None)] * (FETCH_BYTES // 2))
    assert _first_timestamp(bytes(builder.build()), 1) == 1000
