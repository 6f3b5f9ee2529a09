"""A fetched list of records of one partition."""

from collections.abc import Sequence
from typing import Any

from faust.types import TP


class Chunk:
    """Consecutive records of one partition, delivered, finished and committed together.

    `finished` is set when the chunk's event is acknowledged, that is when every record of it is
    safe somewhere else; until then nothing at or after `first_offset` is committed.
    """

    __slots__ = ("finished", "records", "tp")

    def __init__(self, tp: TP, records: Sequence[Any]) -> None:
        self.tp = tp
        self.records = records
        """In the order of their offsets, never empty; see `app.kafka.patches.fetched_batches`."""
        self.finished = False

    @property
    def first_offset(self) -> int:
        """Offset of the first record."""
        return int(self.records[0].offset)

    @property
    def next_offset(self) -> int:
        """The offset after the last record: what to commit when all before is finished."""
        return int(self.records[-1].offset) + 1

    def __repr__(self) -> str:
        """Where it comes from; never what is in it."""
        return f"<Chunk {self.tp.topic}/{self.tp.partition} {self.first_offset}:{self.next_offset}>"
