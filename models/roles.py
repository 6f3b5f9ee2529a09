"""The roles in which OpenWhisk's topics are read."""

from enum import StrEnum


class TopicRole(StrEnum):
    """What a topic carries; it decides the store level of its records."""

    COMPLETED = "completed"
    """`completed<controller>`: acknowledgements; a record in one is a blocking result."""

    OTHERS = "others"
    """`completed-others`: records of the Kafka activation store; logs are kept elsewhere."""

    ACTIVATIONS = "activations"
    """`activations`: records of the Kafka activation store, logs inside."""
