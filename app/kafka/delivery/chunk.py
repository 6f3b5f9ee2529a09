"""A chunk: the records that one fetch brought for one partition, or some of them."""

import math
from collections.abc import Sequence

from faust.types import TP

from app.kafka.records import Record


class Chunk:
    """Consecutive records of one partition, delivered, finished and committed together.

    `finished` is set when the chunk's event is acknowledged, that is when each of its records is
    safe elsewhere. Until then no offset after `first_offset` is committed.
    """

    __slots__ = (
        "count",
        "delivered_at",
        "divided",
        "finished",
        "first_offset",
        "next_offset",
        "records",
        "taken",
        "timestamp",
        "tp",
    )

    def __init__(self, tp: TP, records: Sequence[Record]) -> None:
        self.tp = tp
        self.records = records
        """In the order of their offsets, never empty; see `app.kafka.patches.fetched_batches`."""
        self.first_offset = int(records[0].offset)
        """Offset of the first record."""
        self.next_offset = int(records[-1].offset) + 1
        """The offset after the last record, to commit once everything before it is finished."""
        self.count = len(records)
        """The number of records, kept after the records themselves are released."""
        self.timestamp = int(records[0].timestamp)
        """Epoch millis of the first record."""
        self.delivered_at = math.inf
        """When it was handed to Faust (monotonic seconds); infinite before that."""
        self.taken = False
        """Whether it has reached its agent."""
        self.divided = False
        """Whether its parts have taken its place."""
        self.finished = False

    def divide(self, most: int) -> "list[Chunk]":
        """Chunks of at most so many records each, which take this one's place."""
        parts = [
            Chunk(self.tp, self.records[start : start + most])
            for start in range(0, self.count, most)
        ]
        for part in parts:
            part.delivered_at, part.taken = self.delivered_at, self.taken
        self.divided = True
        self.release()
        return parts

    def release(self) -> None:
        """Free the records: a finished chunk may have to wait long for its turn to be committed."""
        self.records = ()

    def __repr__(self) -> str:
        """Its place in Kafka, never its content."""
        return f"<Chunk {self.tp.topic}/{self.tp.partition} {self.first_offset}:{self.next_offset}>"
