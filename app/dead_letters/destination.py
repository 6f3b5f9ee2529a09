"""Where a dead letter is replayed to: the topic it came from, so that it takes the normal path."""

from collections.abc import Mapping
from typing import NamedTuple

from app.kafka.producer import partition_of
from app.kafka.topics import TopicNames
from app.settings import LogMode
from models.dead_letter import DeadLetter


class Destination(NamedTuple):
    """A topic and one of its partitions."""

    topic: str
    partition: int


def destination(
    letter: DeadLetter, names: TopicNames, log_mode: LogMode, partitions: Mapping[str, int]
) -> Destination | None:
    """The letter's own topic if it is still read, else the topic of the Kafka activation store.

    A document that the database refused only ever goes to the internal topic.

    Args:
        letter: the letter to send.
        names: the deployment's topic names.
        log_mode: decides which topics are read.
        partitions: how many each existing topic has.

    Returns:
        None if neither topic exists.
    """
    if letter.topic == names.documents:
        count = partitions.get(letter.topic)
        return Destination(letter.topic, partition_of(letter.key, count)) if count else None
    own = (letter.topic,) if names.role(letter.topic, log_mode) else ()
    for topic in (*own, *names.stored(log_mode)):
        if topic in partitions:
            return Destination(topic, letter.partition % partitions[topic])
    return None
