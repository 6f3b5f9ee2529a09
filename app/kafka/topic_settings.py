"""Checks a topic's settings for values that endanger records."""

from collections.abc import Mapping

from app.kafka.admin import MIN_IN_SYNC, Replicas
from app.kafka.topics import TopicSpec
from app.process.words import counted, listed

_ALTER = (
    "kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name {topic} "
    "--add-config {key}={value}"
)
_SETTING = {
    "persister-documents": "PERSISTER_DOCUMENTS_RETENTION",
    "persister-dead-letters": "PERSISTER_DEAD_LETTERS_RETENTION",
}
_FOR_EVER = -1

_MARKS = ("message.timestamp.type", "cleanup.policy")
"""Settings that tell one of our topics from one with Kafka's defaults: the first that it specifies.
"""


def made_by_kafka(spec: TopicSpec, partitions: int, actual: Mapping[str, str]) -> bool:
    """Whether Kafka has created one of the persister's own topics automatically.

    By default (`auto.create.topics.enable`) it does so when a topic is deleted under a running
    worker, whose clients keep asking for it. Such a topic has one partition and none of our
    settings.

    Args:
        spec: the topic as it should be.
        partitions: how many it has.
        actual: the settings that Kafka has for it.
    """
    mark = next(key for key in _MARKS if key in spec.config)
    return partitions == 1 < spec.partitions and actual[mark] != spec.config[mark]


def shortcomings(spec: TopicSpec, actual: Mapping[str, str]) -> list[str]:
    """Settings of an existing topic that endanger records, each with what to do about it.

    Args:
        spec: the topic as it should be.
        actual: the settings that Kafka has for it.
    """
    found = []

    def add(key: str, danger: str, instead: str = "") -> None:
        value = spec.config[key]
        alter = _ALTER.format(topic=spec.name, key=key, value=value)
        found.append(f"{spec.name} has {key}={actual[key]}: {danger}. Change it: {alter}{instead}")

    if int(actual["max.message.bytes"]) < int(spec.config["max.message.bytes"]):
        add(
            "max.message.bytes",
            "the largest records do not fit into it",
            ", or lower PERSISTER_MAX_RECORD_BYTES",
        )
    if actual["cleanup.policy"] != "delete":
        add("cleanup.policy", "Kafka removes records that were not read yet")
    if 0 <= int(actual["retention.ms"]) < int(spec.config["retention.ms"]):
        setting = next(text for name, text in _SETTING.items() if spec.name.endswith(name))
        add("retention.ms", "it is kept for less time than the settings say", f", or set {setting}")
    if int(actual["retention.bytes"]) != _FOR_EVER:
        add("retention.bytes", "when it grows beyond that, records are deleted unread")
    return found


def takes_no_records(replicas: Mapping[int, Replicas], needed: int) -> str:
    """Why Kafka refuses what is written to a topic with `acks=all`, and what to do.

    Of a partition with fewer replicas than are needed, it needs all of them since Kafka 3.7.

    Args:
        replicas: those of each partition.
        needed: the topic's `min.insync.replicas`.

    Returns:
        Empty if it takes records in every partition.
    """
    short = [
        f"{number} ({one.in_sync} of {one.all})"
        for number, one in sorted(replicas.items())
        if one.in_sync < min(needed, one.all)
    ]
    if not short:
        return ""
    return (
        f"{counted(len(short), 'partition')} of {len(replicas)} with fewer replicas in sync than "
        f"{MIN_IN_SYNC}={needed} asks for: {listed(short)}. Kafka refuses their records "
        "(NOT_ENOUGH_REPLICAS): start the brokers that are missing"
    )


def asks_for_too_many(topic: str, replicas: Mapping[int, Replicas], needed: int) -> str:
    """Why Kafka before 3.7 refuses what is written to a topic with `acks=all`, and what to do.

    Args:
        topic: its name.
        replicas: those of each partition.
        needed: its `min.insync.replicas`.

    Returns:
        Empty if every partition has so many replicas.
    """
    least = min((one.all for one in replicas.values()), default=needed)
    if least >= needed:
        return ""
    alter = _ALTER.format(topic=topic, key=MIN_IN_SYNC, value=least)
    return (
        f"{MIN_IN_SYNC}={needed} is more than the replicas that its partitions have ({least}): "
        "Kafka before 3.7 refuses their records (NOT_ENOUGH_REPLICAS), and later ones need all of "
        f"them in sync. Give it more replicas, or change it: {alter}"
    )
