"""Keeps the topic of the records in existence."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.kafka.errors import KafkaError
from app.kafka.topics import TopicSpec

logger = logging.getLogger("openwhisk.gateway")

_PAUSE = 2.0
"""Seconds between two attempts, and between two looks whether one is needed."""


class Topics(Protocol):
    """The part of `Publisher` that is used here."""

    @property
    def trouble(self) -> str:
        """Why records are waiting to be sent; empty while none are."""

    async def ensure_topic(self, topic: TopicSpec) -> bool:
        """Create the topic if it is missing; returns whether it was created."""


async def keep_topic(
    publisher: Topics,
    topic: TopicSpec,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Create a topic that is missing: at the start, and whenever Kafka takes no records.

    Runs until it is cancelled. Records have then waited for some seconds, in which an operator who
    has deleted the topic, to make it with other settings, can do so.

    Args:
        publisher: publishes to the topic.
        topic: the topic, and what it is like if it is created here.
        sleep: waits for a number of seconds.
    """
    existed = told = False
    while True:
        if publisher.trouble or not existed:
            try:
                created = await publisher.ensure_topic(topic)
            except (KafkaError, OSError) as error:
                # That Kafka is away is said by those who wait for it.
                away = isinstance(error, OSError) or error.retriable
                if not (told or (existed and away)):
                    logger.error(  # noqa: TRY400 - one line
                        "cannot create topic %s yet: %r; trying again", topic.name, error
                    )
                    told = True
            else:
                if created:
                    logger.info(
                        "created topic %s%s", topic.name, ", which was gone" if existed else ""
                    )
                existed, told = True, False
        await sleep(_PAUSE)
