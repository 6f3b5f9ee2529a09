"""What a broker answers and cannot be true, by aiokafka's own requests and answers."""

from typing import Any

import pytest
from aiokafka.protocol.admin import (
    ApiVersionRequest_v0,
    ApiVersionResponse_v0,
    CreateTopicsRequest_v1,
    CreateTopicsResponse_v1,
    DescribeConfigsRequest_v1,
    DescribeConfigsResponse_v1,
    DescribeGroupsRequest_v0,
    DescribeGroupsResponse_v0,
)
from aiokafka.protocol.commit import (
    OffsetCommitRequest_v3,
    OffsetCommitResponse_v3,
    OffsetFetchRequest_v3,
    OffsetFetchResponse_v3,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1, FindCoordinatorResponse_v1
from aiokafka.protocol.fetch import (
    FetchRequest_v4,
    FetchRequest_v11,
    FetchResponse_v4,
    FetchResponse_v11,
)
from aiokafka.protocol.group import JoinGroupRequest_v5, JoinGroupResponse_v5
from aiokafka.protocol.metadata import MetadataRequest_v5, MetadataResponse_v5
from aiokafka.protocol.offset import OffsetRequest_v3, OffsetResponse_v3
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.protocol.transaction import InitProducerIdRequest_v0, InitProducerIdResponse_v0

from app.kafka.delivery.epochs import OffsetForLeaderEpoch
from app.kafka.patches.plausible_answers import NEEDED, can_be_reached, whats_wrong

UNKNOWN, END, BEGINNING = -1, -1, -2
HUGE = 2**63 - 1
BROKER = (1, "kafka-1", 9092, None)
BATCH = bytes(8) + (14).to_bytes(4, "big") + bytes(14)
VERSIONS = [(one.API_KEY, 0, 20) for one in NEEDED]


def fetched(*topics: Any) -> tuple[Any, Any]:
    asked = [("t", [(0, 7, 100), (1, 7, 100)])]
    return FetchRequest_v4(-1, 500, 1, 100, 0, asked), FetchResponse_v4(0, list(topics))


def throttled() -> tuple[Any, Any]:
    """What a broker with quotas answers while it holds the client back."""
    question, _ = fetched()
    return question, FetchResponse_v4(12_000, [])


def of_fetch(
    number: int = 0, error: int = 0, end: int = 9, stable: int = 9, records: bytes | None = b""
) -> tuple[Any, ...]:
    return number, error, end, stable, None, records


def followed(start: int) -> tuple[Any, Any]:
    """The same of today's brokers."""
    asked = [("t", [(0, -1, 7, -1, 100)])]
    question = FetchRequest_v11(-1, 500, 1, 100, 0, 0, -1, asked, [], "")
    return question, FetchResponse_v11(0, 0, 0, [("t", [(0, 0, 9, 9, start, None, -1, b"")])])


def offsets(offset: int, error: int = 0, time: int = END, number: int = 0) -> tuple[Any, Any]:
    return (
        OffsetRequest_v3(-1, 0, [("t", [(0, time)])]),
        OffsetResponse_v3(0, [("t", [(number, error, -1, offset)])]),
    )


def committed(*partitions: Any, error: int = 0, asked: Any = (0,)) -> tuple[Any, Any]:
    question = OffsetFetchRequest_v3("g", None if asked is None else [("t", list(asked))])
    topics = [("t", list(partitions))] if partitions else []
    return question, OffsetFetchResponse_v3(0, topics, error)


def commit(number: int, error: int = 0) -> tuple[Any, Any]:
    return (
        OffsetCommitRequest_v3("g", 1, "m", -1, [("t", [(0, 7, "")])]),
        OffsetCommitResponse_v3(0, [("t", [(number, error)])]),
    )


def produced(number: int = 0, error: int = 0, offset: int = 7) -> tuple[Any, Any]:
    return (
        ProduceRequest_v7(None, -1, 1000, [("t", [(0, b"records")])]),
        ProduceResponse_v7([("t", [(number, error, offset, -1, 0)])], 0),
    )


def metadata(brokers: Any, topics: Any = ()) -> tuple[Any, Any]:
    return MetadataRequest_v5(None, True), MetadataResponse_v5(0, list(brokers), "c", 1, topics)


def topic(name: str | None = "t", error: int = 0, number: int = 0, leader: int = 1) -> Any:
    return error, name, False, [(error, number, leader, [1], [1], [])]


def versions(known: Any) -> tuple[Any, Any]:
    return ApiVersionRequest_v0(), ApiVersionResponse_v0(0, known)


def joined(error: int = 0, **changes: Any) -> tuple[Any, Any]:
    fields = {"generation": 3, "protocol": "faust", "leader": "m", "me": "m", "members": []}
    answer = JoinGroupResponse_v5(0, error, *(fields | changes).values())
    return JoinGroupRequest_v5("g", 6000, 6000, "", None, "consumer", []), answer


def coordinator(node: int, error: int = 0) -> tuple[Any, Any]:
    return (
        FindCoordinatorRequest_v1("g", 0),
        FindCoordinatorResponse_v1(0, error, None, node, "kafka-1", 9092),
    )


def producer_id(number: int, error: int = 0) -> tuple[Any, Any]:
    return InitProducerIdRequest_v0(None, 0), InitProducerIdResponse_v0(0, error, number, 0)


def epoch_end(offset: int, error: int = 0) -> tuple[Any, Any]:
    (question,) = OffsetForLeaderEpoch._CLASSES
    asked = question([("t", [(3, -1, 5)])])
    return asked, question.RESPONSE_TYPE(0, [("t", [(error, 3, 5, offset)])])


def settings(*topics: str | None) -> tuple[Any, Any]:
    """Those of some topics, where those of a and b were asked for."""
    question = DescribeConfigsRequest_v1([(2, "a", ["retention.ms"]), (2, "b", None)], False)
    return question, DescribeConfigsResponse_v1(0, [(0, None, 2, topic, []) for topic in topics])


def made(*topics: str) -> tuple[Any, Any]:
    """What became of some topics, where a and b were to be created."""
    question = CreateTopicsRequest_v1([(topic, 1, 1, [], []) for topic in "ab"], 1000, False)
    return question, CreateTopicsResponse_v1([(topic, 0, None) for topic in topics])


def group(*groups: str) -> tuple[Any, Any]:
    """Descriptions of groups, where a was asked about."""
    answer: list[Any] = [(0, group, "Stable", "consumer", "range", []) for group in groups]
    return DescribeGroupsRequest_v0(["a"]), DescribeGroupsResponse_v0(answer)


TRUE: dict[str, tuple[Any, Any]] = {
    "a fetch": fetched(("t", [of_fetch(), of_fetch(1)])),
    "a fetch of a partition that is gone": fetched(("t", [of_fetch(), of_fetch(1, 3, -1, -1)])),
    "a fetch with null for no records": fetched(("t", [of_fetch(records=None), of_fetch(1)])),
    "a fetch with records": fetched(("t", [of_fetch(records=BATCH + b"cut"), of_fetch(1)])),
    "a fetch of today": followed(-1),
    "a fetch that is throttled": throttled(),
    "an end": offsets(7),
    "no end, but an error": offsets(-1, error=3),
    "no record after a time": offsets(-1, time=1_700_000_000_000),
    "nothing committed": committed((0, -1, "", 0)),
    "committed offsets": committed((0, 7, "epoch=3", 0)),
    "what any member may have committed": committed((0, -5, "", 0), (1, HUGE, "", 0), asked=(0, 1)),
    "all that a group has committed": committed((5, 7, "", 0), asked=None),
    "a coordinator that is loading": committed(error=14),
    "a commit": commit(0),
    "a commit that is refused": commit(0, 27),
    "a batch that was taken": produced(),
    "a batch that was refused": produced(error=2, offset=-1),
    "metadata": metadata([BROKER], [topic()]),
    "a topic without a leader": metadata([BROKER], [topic(error=5, leader=-1)]),
    "a topic that is gone": metadata([BROKER], [(3, "t", False, [])]),
    "one broker of two without an address": metadata([BROKER, (2, "", 0, None)]),
    "versions": versions([*VERSIONS, (999, 0, 0)]),
    "a join": joined(),
    "a join that is refused": joined(79, generation=-1, protocol=None, leader=None),
    "a coordinator": coordinator(1),
    "no coordinator": coordinator(-1, 15),
    "a producer's id": producer_id(0),
    "no producer's id": producer_id(-1, 15),
    "an epoch's end": epoch_end(7),
    "an unknown epoch": epoch_end(-1),
    "settings": settings("a", "b"),
    "what became of a topic": made("a", "b"),
    "a group": group("a"),
}

FALSE: dict[str, tuple[tuple[Any, Any], str]] = {
    "nothing fetched": (fetched(), "other partitions"),
    "half fetched": (fetched(("t", [of_fetch()])), "other partitions"),
    "a partition too many": (
        fetched(("t", [of_fetch(), of_fetch(1), of_fetch(2)])),
        "other partitions",
    ),
    "a negative partition": (fetched(("t", [of_fetch(-1), of_fetch(1)])), "partition is -1"),
    "the same with an error": (fetched(("t", [of_fetch(-1, 9999)])), "partition is -1"),
    "another topic": (fetched(("x", [of_fetch(), of_fetch(1)])), "other partitions"),
    "no topic's name": (fetched((None, [of_fetch(), of_fetch(1)])), "other partitions"),
    "null for partitions": (fetched(("t", None)), "partitions is null"),
    **{
        f"{len(records)} bytes of records": (
            fetched(("t", [of_fetch(records=records), of_fetch(1)])),
            "no whole batch at the beginning of t/0",
        )
        for records in (b"x", bytes(20), BATCH[:-1], BATCH[:8] + b"\xff" * 20)
    },
    "a negative end": (
        fetched(("t", [of_fetch(end=-1), of_fetch(1)])),
        "highwater_offset is -1",
    ),
    "a huge end": (fetched(("t", [of_fetch(end=HUGE), of_fetch(1)])), "highwater_offset is 9"),
    "a negative start": (followed(-5), "log_start_offset is -5"),
    "an end of -1": (offsets(-1), "no offset for the beginning or end of t/0"),
    "a beginning of -1": (offsets(-1, time=BEGINNING), "no offset for the beginning or end of t/0"),
    "an end of -2": (offsets(-2), "offset is -2"),
    "the largest number as a beginning": (offsets(HUGE, time=BEGINNING), "offset is 9"),
    "another partition's end": (offsets(7, number=1), "other partitions"),
    "a group that says nothing": (committed(), "other partitions"),
    "a commit of another partition": (commit(134), "other partitions"),
    "a batch of another partition": (produced(number=134), "other partitions"),
    "a batch at -7": (produced(offset=-7), "offset is -7"),
    "null for topics": (metadata([BROKER], None), "topics is null"),
    "null for a topic's name": (metadata([BROKER], [topic(None)]), "topic is null"),
    "a negative number of a partition": (metadata([BROKER], [topic(number=-50)]), "partition is"),
    "no partitions": (metadata([BROKER], [(0, "t", False, [])]), "topic t has no partitions"),
    "a leader of -2": (metadata([BROKER], [topic(leader=-2)]), "leader is -2"),
    "no brokers": (metadata([]), "no broker that can be reached"),
    "brokers nowhere": (metadata([(1, "", 9092, None), (2, "k", -1, None)]), "no broker that can"),
    "no versions": (versions([]), "no FetchRequest of a version that is known"),
    "null for versions": (versions(None), "api_versions is null"),
    "only future versions": (versions([(key, 99, 120) for key, *_ in VERSIONS]), "no FetchRequest"),
    "versions from 5 to 1": (versions([*VERSIONS, (18, 5, 1)]), "from version 5 to 1"),
    "no generation": (joined(generation=-1), "generation_id is -1"),
    "no protocol": (joined(protocol=None), "group_protocol is null"),
    "no member": (joined(me=None), "member_id is null"),
    "null for members": (joined(members=None), "members is null"),
    "a coordinator of -7": (coordinator(-7), "coordinator_id is -7"),
    "a producer's id of -1": (producer_id(UNKNOWN), "producer_id is -1"),
    "an epoch's end at -2": (epoch_end(-2), "end_offset is -2"),
    "an epoch's end at the largest number": (epoch_end(HUGE), "end_offset is 9"),
    "no settings": (settings(), "something else"),
    "half the settings": (settings("a"), "something else"),
    "settings of another topic": (settings("a", "c"), "something else"),
    "null for settings": (settings("a", None), "something else"),
    "nothing about a new topic": (made("a"), "something else"),
    "no group": (group(), "something else"),
    "another group": (group("b"), "something else"),
}


@pytest.mark.parametrize("what", TRUE)
def test_what_may_be_true_is_taken(what: str) -> None:
    assert whats_wrong(*TRUE[what]) is None


@pytest.mark.parametrize("what", FALSE)
def test_what_cannot_be_true_is_refused(what: str) -> None:
    exchange, why = FALSE[what]
    assert why in str(whats_wrong(*exchange))


@pytest.mark.parametrize(
    "host,port,possible",
    [
        ("kafka-1.example.org", 9092, True),
        ("::1", 65_535, True),
        ("kafka-1", -1, False),
        ("kafka-1", 0, False),
        ("kafka-1", 70_000, False),
        ("", 9092, False),
        (None, 9092, False),
        ("x" * 300, 9092, False),
        ("kafka\x00\x1b[2J", 9092, False),
        ("two words", 9092, False),
    ],
)
def test_an_address_is_a_name_and_a_port(
    host: str | None,
    port: int,
    possible: bool,  # noqa: FBT001 - of the table above
) -> None:
    assert can_be_reached(host, port) is possible
