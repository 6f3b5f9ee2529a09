"""The consumer's callbacks into the worker."""

from collections.abc import Callable
from dataclasses import dataclass

from faust.types import TP

from app.kafka.delivery.chunk import Chunk
from app.process.errors import StartError


@dataclass(frozen=True)
class Callbacks:
    """Called in the event loop.

    Args:
        held: tells whether a partition is paused.
        finished: called with each finished chunk.
        committing: called before offsets are committed, to send what must be in Kafka before them.
        lost: called with a partition and the number of its records that Kafka deleted before they
            were read, after the consumer has logged it.
        end: ends the worker with a message.
    """

    held: Callable[[TP], bool]
    finished: Callable[[Chunk], None]
    committing: Callable[[], None]
    lost: Callable[[TP, int], None]
    end: Callable[[StartError], None]
