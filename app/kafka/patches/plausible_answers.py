"""Tells an answer of a broker that can be true from one that cannot.

A client believes what it can decode. aiokafka 0.14 takes an end of a log of -2, a partition that it
has not asked about, or a null list as they come, and raises a `KeyError`, a `TypeError` or an
`OverflowError` much later, in one of its background tasks, which ends with it; or it tells the
application, which then reports 9223372036854775687 lost records.

The rules here are of fields, by the name that Kafka's protocol has for them, not of requests: a
number that has a least value, an offset, a text or list that is never null. And an answer about
partitions is about those that were asked about. What a broker only keeps for clients is not its
word: any member of a group may commit any offset. Nothing here does any I/O.
"""

from collections.abc import Callable, Iterable
from functools import cache
from struct import Struct
from typing import Any, Final, NamedTuple

from aiokafka.protocol.admin import (
    AlterConfigsRequest,
    ApiVersionRequest,
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest,
)
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Schema

from app.kafka.batch_layout import AFTER_LENGTH, LENGTH_AT

LARGEST_OFFSET: Final = 2**62
"""More than a billion records a second make in a hundred years."""

_LARGEST: Final = 2**63

NULLABLE: Final = frozenset(("aborted_transactions",))
"""Lists that may be null. Lists of plain values are not checked."""

ALWAYS: Final[dict[str, int | None]] = {"topic": None, "partition": 0, "partition_index": 0}
"""Fields that are never null, with their least values, even beside an error code."""

UNLESS_ERROR: Final[dict[str, int | None]] = {
    "enabled_mechanisms": None,
    "group_protocol": None,
    "leader_id": None,
    "member_assignment": None,
    "member_id": None,
    "coordinator_id": 0,
    "generation_id": 0,
    "leader": -1,
    "min_version": 0,
    "producer_id": 0,
    "end_offset": -1,
    "first_offset": -1,
    "highwater_offset": 0,
    "last_stable_offset": -1,
    "log_start_offset": -1,
    "low_watermark": -1,
    "offset": -1,
}
"""The same for fields without an error code beside them. An offset of -1 means none."""

NEEDED: Final = (
    FetchRequest,
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    MetadataRequest,
    OffsetCommitRequest,
    OffsetFetchRequest,
    OffsetRequest,
    ProduceRequest,
    SyncGroupRequest,
)
"""Requests that a broker must support to be of any use. All brokers have supported them since 2015.
"""

OF_PARTITIONS: Final = frozenset((0, 1, 2, 8, 9, 23))
"""API keys of requests that are answered per partition: Produce, Fetch, ListOffsets, OffsetCommit,
OffsetFetch, OffsetForLeaderEpoch.
"""

_FETCH, _OFFSETS = FetchRequest.API_KEY, OffsetRequest.API_KEY
_COMMITTED = OffsetFetchRequest.API_KEY

OF_CLIENTS: Final = {_COMMITTED: frozenset(("offset",))}
"""Fields in which a broker repeats what any client has told it, by API key: not checked."""

_LEAST_LENGTH = 14
"""Of a batch after its length: an empty record of the oldest format."""

_length = Struct(">i").unpack_from

_LONGEST_HOST, _LARGEST_PORT = 253, 65_535

_NONE = -1

Places = dict[str, set[int]]


class Rule(NamedTuple):
    """The rule for a field: its position and name, and unless it is text its bounds."""

    at: int
    name: str
    least: int | None
    most: int


class Plan(NamedTuple):
    """What to check in a structure."""

    error: int | None
    """Position of its error code; None if it has none."""
    always: tuple[Rule, ...]
    unless_error: tuple[Rule, ...]
    lists: tuple[tuple[int, "Plan"], ...]


def whats_wrong(question: RequestStruct, answer: Response) -> str | None:
    """Why an answer is implausible; None if it is not.

    Args:
        question: the request as it was sent.
        answer: the decoded answer.
    """
    schema = answer.SCHEMA
    plan = _plan(schema, OF_CLIENTS.get(question.API_KEY, frozenset()))
    wrong = _in_fields([getattr(answer, name) for name in schema.names], plan)
    if wrong is None and question.API_KEY in OF_PARTITIONS:
        return _in_places(question, answer)
    if wrong is None and question.API_KEY in _OF_NAMES:
        return _in_names(question, answer)
    if wrong is None and question.API_KEY in _OF_THE_WHOLE:
        return _OF_THE_WHOLE[question.API_KEY](answer)
    return wrong


def can_be_reached(host: str | None, port: int) -> bool:
    """Whether this can be the address of a broker."""
    possible = host and len(host) <= _LONGEST_HOST and host.isprintable() and " " not in host
    return bool(possible) and 0 < port <= _LARGEST_PORT


def _in_fields(fields: Any, plan: Plan) -> str | None:
    wrong = _broken(plan.always, fields)
    if wrong is None and (plan.error is None or not fields[plan.error]):
        wrong = _broken(plan.unless_error, fields)
    if wrong is not None:
        return wrong
    for at, within in plan.lists:
        for member in fields[at] or ():
            if (wrong := _in_fields(member, within)) is not None:
                return wrong
    return None


def _broken(rules: Iterable[Rule], fields: Any) -> str | None:
    for at, name, least, most in rules:
        value = fields[at]
        if value is None:
            return f"{name} is null"
        if least is not None and not least <= value <= most:
            return f"{name} is {value}"
    return None


@cache
def _plan(schema: Schema, unchecked: frozenset[str]) -> Plan:
    names = dict(zip(schema.names, range(len(schema.names)), strict=True))
    lists = [
        (name, field.array_of)
        for name, field in zip(schema.names, schema.fields, strict=True)
        if isinstance(field, Array) and isinstance(field.array_of, Schema)
    ]
    present: dict[str, int | None] = {name: None for name, _ in lists if name not in NULLABLE}
    return Plan(
        names.get("error_code"),
        _rules(names, ALWAYS | present),
        _rules({name: at for name, at in names.items() if name not in unchecked}, UNLESS_ERROR),
        tuple((names[name], _plan(within, unchecked)) for name, within in lists),
    )


def _rules(names: dict[str, int], least: dict[str, int | None]) -> tuple[Rule, ...]:
    return tuple(
        Rule(at, name, least[name], LARGEST_OFFSET if "offset" in name else _LARGEST)
        for name, at in names.items()
        if name in least
    )


def _in_places(question: RequestStruct, answer: Response) -> str | None:
    if question.topics is None or (question.API_KEY == _COMMITTED and _refused(answer)):
        return None
    if question.API_KEY == _FETCH and _is_throttled(answer):
        return None
    if _places(question) != _places(answer):
        return "it is about other partitions than were asked about"
    if question.API_KEY == _OFFSETS:
        return _in_ends(question, answer)
    return _in_batches(answer) if question.API_KEY == _FETCH else None


def _in_names(question: RequestStruct, answer: Response) -> str | None:
    (of_question, at_question), (of_answer, at_answer) = _OF_NAMES[question.API_KEY]
    asked, told = getattr(question, of_question), getattr(answer, of_answer)
    names = {one if at_question is None else one[at_question] for one in asked}
    if names != {one[at_answer] for one in told}:
        return "it is about something else than was asked about"
    return None


def _is_throttled(answer: Response) -> bool:
    """Whether a broker holds the client back; it then answers a fetch at once, without anything."""
    return getattr(answer, "throttle_time_ms", 0) > 0 and not answer.topics


def _refused(answer: Response) -> bool:
    """Whether the answer as a whole has an error code; it then names no partitions."""
    return bool(getattr(answer, "error_code", 0))


def _places(of: Any) -> Places:
    at = _partition_at(of.SCHEMA)
    return {
        topic: {one if at is None else one[at] for one in partitions}
        for topic, partitions in of.topics
    }


@cache
def _partition_at(schema: Schema) -> int | None:
    """Where the number of a partition is in what is said of it; None where it is all there is."""
    topics = schema.fields[schema.names.index("topics")]
    partitions = topics.array_of.fields[1].array_of
    return partitions.names.index("partition") if isinstance(partitions, Schema) else None


def _in_ends(question: RequestStruct, answer: Response) -> str | None:
    """The beginning and end of a log (asked for by a negative time) have an offset."""
    times = {
        (topic, number): time
        for topic, partitions in question.topics
        for number, time, *_ in partitions
    }
    for topic, partitions in answer.topics:
        for number, error, *_, offset in partitions:
            if not error and offset == _NONE and times[topic, number] < 0:
                return f"no offset for the beginning or end of {topic}/{number}"
    return None


def _in_batches(answer: Response) -> str | None:
    """The first batch of a partition is whole, however large it is, since Kafka 0.10.1 (KIP-74)."""
    for topic, partitions in answer.topics:
        for number, _, *_, encoded in partitions:
            if encoded and not _begins_with_a_batch(encoded):
                return f"no whole batch at the beginning of {topic}/{number}"
    return None


def _begins_with_a_batch(encoded: bytes) -> bool:
    if len(encoded) < AFTER_LENGTH:
        return False
    (length,) = _length(encoded, LENGTH_AT)
    return bool(_LEAST_LENGTH <= length <= len(encoded) - AFTER_LENGTH)


def _in_metadata(answer: Response) -> str | None:
    if not any(can_be_reached(host, port) for _, host, port, *_ in answer.brokers):
        return "it names no broker that can be reached"
    at = _partitions_at(answer.SCHEMA)
    for error, topic, *rest in answer.topics:
        if not error and not rest[at]:
            return f"topic {topic} has no partitions"
    return None


@cache
def _partitions_at(schema: Schema) -> int:
    """Where the partitions of a topic are in metadata, after its error and its name."""
    topic = schema.fields[schema.names.index("topics")].array_of
    return int(topic.names.index("partitions")) - 2


def _in_versions(answer: Response) -> str | None:
    known = {key: (least, most) for key, least, most in answer.api_versions}
    for key, (least, most) in known.items():
        if least > most:
            return f"it takes request {key} from version {least} to {most}"
    for request in NEEDED:
        least, most = known.get(request.API_KEY, (0, -1))
        if not any(least <= one.API_VERSION <= most for one in request._CLASSES):  # noqa: SLF001
            return f"it takes no {request.__name__} of a version that is known here"
    return None


_OF_NAMES: Final = {
    AlterConfigsRequest.API_KEY: (("resources", 1), ("resources", 3)),
    CreatePartitionsRequest.API_KEY: (("topic_partitions", 0), ("topic_errors", 0)),
    CreateTopicsRequest.API_KEY: (("create_topic_requests", 0), ("topic_errors", 0)),
    DeleteTopicsRequest.API_KEY: (("topics", None), ("topic_error_codes", 0)),
    DescribeConfigsRequest.API_KEY: (("resources", 1), ("resources", 3)),
    DescribeGroupsRequest.API_KEY: (("groups", None), ("groups", 1)),
}
"""API keys of requests that are answered per topic or group: the lists of the question and of the
answer, and where a member of each has the name; None where it is the name.
"""

_OF_THE_WHOLE: Final[dict[int, Callable[[Response], str | None]]] = {
    MetadataRequest.API_KEY: _in_metadata,
    ApiVersionRequest.API_KEY: _in_versions,
}
