"""What the consumer asks of the worker around it, and what it tells it."""

from collections.abc import Callable
from dataclasses import dataclass

from faust.types import TP

from app.kafka.delivery.chunk import Chunk
from app.process.errors import StartError


@dataclass(frozen=True)
class Callbacks:
    """Called in the event loop.

    Args:
        held: whether nothing of a partition may be fetched now.
        finished: a chunk is finished.
        lost: Kafka deleted this many records of a partition before they were read; the consumer
            has logged it.
        end: ends the worker with a message.
    """

    held: Callable[[TP], bool]
    finished: Callable[[Chunk], None]
    lost: Callable[[TP, int], None]
    end: Callable[[StartError], None]
