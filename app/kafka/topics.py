"""Topic names and roles: OpenWhisk's topics, and the persister's own.

This is the only place where a topic's name is spelled, for readers and for writers.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

from app.kafka.clients import RECORD_OVERHEAD
from app.kafka.errors import error_text
from app.process.words import counted
from app.settings import KafkaSettings, LogMode
from models.roles import TopicRole

OTHERS = "completed-others"
"""Records of OpenWhisk's Kafka activation store, while logs are kept elsewhere."""

NON_BLOCKING = "completed-non-blocking"
"""The name of `completed-others` in the first proposal."""

ACTIVATIONS = "activations"
"""The topic of the same records while logs are kept inside them."""

PAYLOAD_LIMIT = 1024 * 1024
"""Largest result in bytes (`whisk.activation.kafka.payload.max`)."""

LARGEST_ACKNOWLEDGEMENT = PAYLOAD_LIMIT + 6068
"""The `max.message.bytes` of `completed<controller>`: the payload plus
`whisk.activation.kafka.serdes-overhead`.
"""


@dataclass(frozen=True)
class TopicNames:
    """The names of one deployment, all under its prefix.

    Args:
        prefix: `whisk.kafka.topics.prefix` of OpenWhisk, `PERSISTER_TOPIC_PREFIX`.
        others: the topic that the activation store writes to while logs are kept elsewhere, without
            the prefix.
    """

    prefix: str = ""
    others: str = OTHERS

    def completed(self, controller: str) -> str:
        """The topic of the acknowledgements to a controller."""
        return f"{self.prefix}completed{controller}"

    def store(self, log_mode: LogMode) -> str:
        """The topic that the Kafka activation store writes to."""
        return self.prefix + (ACTIVATIONS if log_mode is LogMode.IN_RECORD else self.others)

    @property
    def documents(self) -> str:
        """The internal topic: documents ready to be stored, keyed by activation id."""
        return f"{self.prefix}persister-documents"

    @property
    def dead_letters(self) -> str:
        """The dead-letter topic; headers hold the reason."""
        return f"{self.prefix}persister-dead-letters"

    @property
    def replays(self) -> str:
        """The log of replayed dead letters; the first replay creates it."""
        return f"{self.prefix}persister-replays"

    @property
    def workers(self) -> str:
        """The workers' reports about themselves; the first worker creates it."""
        return f"{self.prefix}persister-workers"

    def stored(self, log_mode: LogMode) -> tuple[str, ...]:
        """Possible names of OpenWhisk's activation-store topic, the usual one first."""
        if log_mode is LogMode.IN_RECORD:
            return (self.prefix + ACTIVATIONS,)
        return self.prefix + OTHERS, self.prefix + NON_BLOCKING

    def overlooked(self, topics: Container[str], log_mode: LogMode) -> tuple[str, ...]:
        """Those of all topics that OpenWhisk would write to in the other log mode."""
        other = LogMode.SEPARATE if log_mode is LogMode.IN_RECORD else LogMode.IN_RECORD
        return tuple(topic for topic in self.stored(other) if topic in topics)

    def elsewhere(self, topics: Iterable[str], log_mode: LogMode) -> tuple[str, ...]:
        """If no topic is read, those that look like OpenWhisk's with another prefix.

        In the log mode that keeps logs inside the records, these may also be acknowledgement topics
        with the right prefix. `would_read` says what to do.
        """
        read, seen = False, []
        for topic in sorted(topics):
            read = read or self.role(topic, log_mode) is not None
            if topic.endswith(_TELLING) and not _OURS.fullmatch(topic):
                seen.append(topic)
        return () if read else tuple(seen)

    def would_read(self, elsewhere: Iterable[str]) -> str:
        """Which setting to change to read the topics of `elsewhere`, if they are OpenWhisk's."""
        prefixes = {_before(topic) for topic in elsewhere}
        if self.prefix in prefixes:
            return "check PERSISTER_LOG_MODE: nothing is read of them in this one"
        found = sorted(prefixes)
        right = " or ".join(map(_quoted, found))
        if len(found) > _FEW:
            right = f"what stands before {_TELLING[0]} in the name of the right one"
        return (
            f"PERSISTER_TOPIC_PREFIX is {_quoted(self.prefix)} here: if these are OpenWhisk's, set "
            f"it to {right}"
        )

    def role(self, topic: str, log_mode: LogMode) -> TopicRole | None:
        """The role in which `topic` is read in this log mode, or None if it is not read."""
        if not topic.startswith(self.prefix) or _OURS.fullmatch(topic):
            return None
        name = topic.removeprefix(self.prefix)
        if log_mode is LogMode.IN_RECORD:
            return TopicRole.ACTIVATIONS if name == ACTIVATIONS else None
        if name in (OTHERS, NON_BLOCKING):
            return TopicRole.OTHERS
        return TopicRole.COMPLETED if _COMPLETED.fullmatch(name) else None

    def by_role(self, topics: Iterable[str], log_mode: LogMode) -> dict[TopicRole, tuple[str, ...]]:
        """Group the topics that are read by their roles, in a stable order."""
        found: dict[TopicRole, list[str]] = {role: [] for role in TopicRole}
        for topic in sorted(topics):
            role = self.role(topic, log_mode)
            if role is not None:
                found[role].append(topic)
        return {role: tuple(names) for role, names in found.items()}


def other_mode(log_mode: LogMode) -> str:
    """When OpenWhisk writes to the topics that a log mode overlooks, and what to do then."""
    if log_mode is LogMode.SEPARATE:
        return (
            "OpenWhisk writes there when it keeps logs inside the records: if it does, set "
            "PERSISTER_LOG_MODE=in-record, or those records are lost with the topic's retention"
        )
    return (
        "OpenWhisk writes there when it keeps logs elsewhere: if it does, set "
        "PERSISTER_LOG_MODE=separate, or those records are lost with the topic's retention"
    )


def is_own(topic: str) -> bool:
    """Whether this is a topic of the persister's own in some deployment."""
    return _OURS.fullmatch(topic) is not None


def is_internal(topic: str) -> bool:
    """Whether this is the internal topic of some deployment; OpenWhisk has none of that name."""
    return topic.endswith(TopicNames().documents)


def after_loss(topic: str) -> str:
    """What to do when Kafka has deleted records of a topic before they were read."""
    if is_internal(topic):
        return (
            "find out why the database did not take them in time, and raise "
            "PERSISTER_DOCUMENTS_RETENTION, and with it retention.ms of the topic, which exists"
        )
    return "keep a worker running, or more of them, and raise retention.ms of the topic"


_TELLING = ("completed0", ACTIVATIONS, OTHERS)
"""Suffixes of topic names that every OpenWhisk has."""

_FEW = 3


def _before(topic: str) -> str:
    """The prefix of a topic whose name has one of the suffixes of `_TELLING`."""
    return min((topic.removesuffix(end) for end in _TELLING), key=len)


def _quoted(prefix: str) -> str:
    return f'"{prefix}"' if prefix else "empty"


_COMPLETED = re.compile(r"completed.*")

_OURS = re.compile(r".*(persister-(documents|dead-letters|replays|workers)|-guard-changelog)")
"""The persister's own topics in any deployment: with a certain prefix or application id, their
names may begin like OpenWhisk's.
"""


@dataclass(frozen=True)
class TopicSpec:
    """How to create a topic that is missing."""

    name: str
    partitions: int
    config: dict[str, str]


def not_created(spec: TopicSpec, replication: int, error: Exception) -> str:
    """Why Kafka does not create a topic, and what to do."""
    return (
        f"Kafka does not create {spec.name} with {counted(spec.partitions, 'partition')} and "
        f"{counted(replication, 'replica')} ({error_text(error)}): change PERSISTER_PARTITIONS or "
        "PERSISTER_REPLICATION, grant Create, or create it by hand"
    )


def too_many_partitions(changelog: TopicSpec, partitions: int, documents: str) -> str:
    """What to do about a guard's changelog that has more partitions than the internal topic."""
    return (
        f"{changelog.name} has {partitions} partitions, and {documents} has "
        f"{changelog.partitions}: stop all workers and delete {changelog.name}; the next "
        "start makes it again, and the database tells what is stored already"
    )


def may_not_grow(changelog: TopicSpec, partitions: int, why: str) -> str:
    """What to do about a guard's changelog that has too few partitions and cannot get more."""
    return (
        f"{changelog.name} has {partitions} partitions, needs {changelog.partitions}, and Kafka "
        f"does not let it be changed ({why}): grant Alter on it, or delete it"
    )


def completed_topic(name: str, largest: int = LARGEST_ACKNOWLEDGEMENT) -> TopicSpec:
    """A topic as OpenWhisk creates its `completed` topics (`whisk.kafka.topics.completed`).

    Args:
        name: its full name.
        largest: bytes of the largest record, including Kafka's overhead.
    """
    return TopicSpec(
        name,
        1,
        {
            "max.message.bytes": str(largest),
            "retention.bytes": str(1024**3),
            "retention.ms": str(3_600_000),
            "segment.bytes": str(512 * 1024**2),
        },
    )


def store_topic(name: str, settings: KafkaSettings) -> TopicSpec:
    """The activation store's topic, which has room for the largest record."""
    return completed_topic(name, settings.max_record_bytes + RECORD_OVERHEAD)


def replays_topic(name: str, settings: KafkaSettings) -> TopicSpec:
    """The log of replays; the first replay creates it."""
    return TopicSpec(
        name,
        1,
        {
            "cleanup.policy": "compact,delete",
            # An entry must outlive its dead letter, and Kafka deletes whole segments, sooner or
            # later.
            "retention.ms": str(int(2 * settings.dead_letters_retention * 1000)),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
        },
    )


def workers_topic(name: str) -> TopicSpec:
    """The topic of the workers' reports: the last report of each counts, and only for a while.

    Segments are short, because Kafka compacts only closed ones.
    """
    return TopicSpec(
        name,
        1,
        {
            "cleanup.policy": "compact,delete",
            "retention.ms": str(3_600_000),
            "segment.ms": str(600_000),
            "segment.bytes": str(16 * 1024**2),
            "max.message.bytes": str(64 * 1024),
            "message.timestamp.type": "LogAppendTime",
        },
    )


def guard_changelog(settings: KafkaSettings) -> TopicSpec:
    """The changelog of the guard's table; `persister setup` creates it, otherwise Faust does.

    Kafka refuses records of a worker whose clock is more than an hour ahead of its own, unless it
    dates them itself.
    """
    return TopicSpec(
        f"{settings.app_id}-guard-changelog",
        settings.partitions,
        {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"},
    )


def own_topics(names: TopicNames, settings: KafkaSettings) -> list[TopicSpec]:
    """The persister's own topics.

    Retention counts from when the broker appended a record (`LogAppendTime`): an OpenWhisk host
    whose clock is wrong must not make Kafka delete a document that was just written.
    """
    largest = settings.max_record_bytes + RECORD_OVERHEAD
    shared = {
        "cleanup.policy": "delete",
        "retention.bytes": "-1",
        "max.message.bytes": str(largest),
        "message.timestamp.type": "LogAppendTime",
    }
    return [
        TopicSpec(
            names.documents,
            settings.partitions,
            {**shared, "retention.ms": str(int(settings.documents_retention * 1000))},
        ),
        TopicSpec(
            names.dead_letters,
            1,
            {**shared, "retention.ms": str(int(settings.dead_letters_retention * 1000))},
        ),
    ]
