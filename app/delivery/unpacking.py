"""Fetched records as aiokafka's compiled code unpacks them.

aiokafka 0.14 turns each record of a batch into a `ConsumerRecord` of eleven fields, one at a time
through two generators in Python: twice what it takes to unpack the batch itself. Of a chunk nothing
is read but offset, timestamp, key, value and headers, and those a batch's own records have.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from faust.types import TP


class Unpacked:
    """In the place of aiokafka's `PartitionRecords`: the records of the batches of one fetch."""

    def __init__(self, fetched: PartitionRecords) -> None:
        self._tp = fetched._tp  # noqa: SLF001
        self._fetched = fetched._records  # noqa: SLF001
        # Never begun, it keeps its own object alive, and the whole answer of the broker with it.
        fetched._records_iterator = None  # noqa: SLF001
        self.next_fetch_offset: int = fetched.next_fetch_offset
        """The offset to fetch next, once all of these are taken."""
        self._records = chain.from_iterable(self._batches())

    def __iter__(self) -> Iterator[Any]:
        """The records, once; raises `CorruptRecordException` for a wrong checksum."""
        return self._records

    def _batches(self) -> Iterator[list[Any]]:
        while self._fetched.has_next():
            batch = self._fetched.next_batch()
            if not batch.validate_crc():
                # Ends this iterator: the batch is fetched again.
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            wanted = self.next_fetch_offset
            # Not the last record's: compaction may have removed the end of a batch.
            self.next_fetch_offset = batch.next_offset
            if batch.is_control_batch:
                continue
            records = list(batch)
            if records and records[0].offset < wanted:  # batches are fetched whole
                records = [record for record in records if record.offset >= wanted]
            yield records


class Fetched(OrderedDict[Any, Any]):
    """Where aiokafka's fetcher keeps what has arrived, by partition, until it is taken.

    Args:
        chunked: tells which partitions are delivered as chunks; others are left as they are.
    """

    def __init__(self, chunked: Callable[[TP], bool]) -> None:
        super().__init__()
        self._chunked = chunked

    def __setitem__(self, tp: Any, result: Any) -> None:
        """Keep a result (or an error) of a fetch."""
        if isinstance(result, FetchResult) and self._chunked(TP(*tp)):
            result._partition_records = Unpacked(result._partition_records)  # noqa: SLF001
        super().__setitem__(tp, result)


def unpack_chunks(fetcher: Any, chunked: Callable[[TP], bool]) -> None:
    """Have an aiokafka `Fetcher`, before its first fetch, unpack these partitions' records so."""
    fetcher._records = Fetched(chunked)  # noqa: SLF001
