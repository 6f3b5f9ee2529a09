"""Delivery: fetched lists of records as Faust events, and commits that never pass unfinished work.

Faust hands every record to its stream as an event of its own and commits by looking for gaps in
the offsets that were acknowledged. Here a *chunk*, the list of records that one fetch brought for
one partition, is the event, and the offset to commit is the end of the last chunk before which
every chunk is finished.

- `chunk`: the value of such an event.
- `ledger`: pure; what offset comes next in each partition, and how far it may be committed.
- `consumer`: Faust's consumer with these two in the places of its own bookkeeping.
- `topic`: a Faust topic whose events carry chunks.
"""

from app.kafka.delivery.callbacks import Callbacks
from app.kafka.delivery.chunk import Chunk
from app.kafka.delivery.consumer import Transport
from app.kafka.delivery.topic import ChunkEvent, ChunkTopic, chunk_events

__all__ = ["Callbacks", "Chunk", "ChunkEvent", "ChunkTopic", "Transport", "chunk_events"]
