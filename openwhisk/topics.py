"""OpenWhisk's topics, as its controllers and invokers name and create them."""

from dataclasses import dataclass

from app.kafka.clients import RECORD_OVERHEAD
from app.settings import LogMode

OTHERS = "completed-others"
NON_BLOCKING = "completed-non-blocking"
"""What the first proposal called `completed-others`."""

ACTIVATIONS = "activations"

PAYLOAD_LIMIT = 1024 * 1024
"""Bytes of a result (`whisk.activation.kafka.payload.max`)."""

LARGEST_ACKNOWLEDGEMENT = PAYLOAD_LIMIT + 6068
"""The `max.message.bytes` of `completed<controller>`: the payload and
`whisk.activation.kafka.serdes-overhead`."""


@dataclass(frozen=True)
class Topics:
    """The names of one deployment.

    Args:
        prefix: `whisk.kafka.topics.prefix`.
        others: the store's topic while logs are kept elsewhere, without the prefix.
    """

    prefix: str = ""
    others: str = OTHERS

    def completed(self, controller: str) -> str:
        """The acknowledgements for a controller."""
        return f"{self.prefix}completed{controller}"

    def stored(self, log_mode: LogMode) -> str:
        """The records of the Kafka activation store."""
        return self.prefix + (ACTIVATIONS if log_mode is LogMode.IN_RECORD else self.others)


def topic_config(max_message_bytes: int) -> dict[str, str]:
    """The settings that OpenWhisk gives its `completed` topics (`whisk.kafka.topics.completed`).

    Args:
        max_message_bytes: of the largest record, with what Kafka adds to it.
    """
    return {
        "max.message.bytes": str(max_message_bytes),
        "retention.bytes": str(1024**3),
        "retention.ms": str(3_600_000),
        "segment.bytes": str(512 * 1024**2),
    }


def store_topic_config(max_record_bytes: int) -> dict[str, str]:
    """The same for the store's topic, which takes the largest record."""
    return topic_config(max_record_bytes + RECORD_OVERHEAD)
