"""Topics by role: which of OpenWhisk's are read, and which are the persister's own."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.kafka.clients import RECORD_OVERHEAD
from app.settings import KafkaSettings, LogMode
from models.roles import TopicRole


@dataclass(frozen=True)
class TopicNames:
    """The names of one deployment, all under its prefix.

    OpenWhisk writes acknowledgements to `completed<controller>`, records of its Kafka activation
    store to `completed-others` (the first proposal called it `completed-non-blocking`), and, when
    logs are kept inside the record, to `activations`.
    """

    prefix: str

    @property
    def documents(self) -> str:
        """The internal topic: documents ready to be stored, keyed by activation id."""
        return f"{self.prefix}persister-documents"

    @property
    def dead_letters(self) -> str:
        """What was set aside, with the reason in its headers."""
        return f"{self.prefix}persister-dead-letters"

    @property
    def replays(self) -> str:
        """Which dead letters have been replayed; made by the first replay."""
        return f"{self.prefix}persister-replays"

    def stored(self, log_mode: LogMode) -> tuple[str, ...]:
        """What OpenWhisk may call the topic of its Kafka activation store, the usual name first."""
        if log_mode is LogMode.IN_RECORD:
            return (f"{self.prefix}activations",)
        return f"{self.prefix}completed-others", f"{self.prefix}completed-non-blocking"

    def role(self, topic: str, log_mode: LogMode) -> TopicRole | None:
        """The role in which `topic` is read in this log mode, or None when it is not read."""
        if not topic.startswith(self.prefix) or _OURS.fullmatch(topic):
            return None
        name = topic.removeprefix(self.prefix)
        if log_mode is LogMode.IN_RECORD:
            return TopicRole.ACTIVATIONS if name == "activations" else None
        if name in ("completed-others", "completed-non-blocking"):
            return TopicRole.OTHERS
        return TopicRole.COMPLETED if _COMPLETED.fullmatch(name) else None

    def by_role(self, topics: Iterable[str], log_mode: LogMode) -> dict[TopicRole, tuple[str, ...]]:
        """Sort the topics that are read under their roles, in a stable order."""
        found: dict[TopicRole, list[str]] = {role: [] for role in TopicRole}
        for topic in sorted(topics):
            role = self.role(topic, log_mode)
            if role is not None:
                found[role].append(topic)
        return {role: tuple(names) for role, names in found.items()}


_COMPLETED = re.compile(r"completed.*")

_OURS = re.compile(r".*(persister-(documents|dead-letters|replays)|-guard-changelog)")
"""The persister's own, of any deployment: another prefix or application id may begin as OpenWhisk's
topics do.
"""


@dataclass(frozen=True)
class TopicSpec:
    """A topic that the persister creates when it is missing."""

    name: str
    partitions: int
    config: dict[str, str]


def replays_topic(name: str, settings: KafkaSettings) -> TopicSpec:
    """Where replays note what they have sent; the first one creates it."""
    return TopicSpec(
        name,
        1,
        {
            "cleanup.policy": "compact,delete",
            # A note must outlive its letter, and Kafka deletes whole segments, earlier or later.
            "retention.ms": str(int(2 * settings.dead_letters_retention * 1000)),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
        },
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
