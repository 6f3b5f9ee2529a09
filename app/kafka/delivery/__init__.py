"""Delivers fetched lists of records as Faust events; commits never pass unfinished work.

Faust delivers every record as a separate event and commits by looking for gaps in the acknowledged
offsets. Here an event is a *chunk*: the list of records that one fetch brought for one partition.
The offset to commit is the end of the last chunk before which every chunk is finished.

- `chunk`: the value of such an event.
- `ledger`: pure; what offset comes next in each partition, and how far it may be committed.
- `consumer`: Faust's consumer, with these two instead of Faust's bookkeeping: what is fetched,
  delivered, acknowledged and committed.
- `thread`: what the consumer does in the thread in which aiokafka runs.
- `resume`: pure; where to resume reading a partition, and what has become of its log.
- `own_progress`: how far this worker was with a partition before the present assignment.
- `epochs`: notices a log whose end Kafka lost and wrote anew.
- `notes`: what is committed beside an offset, to tell the log that it is of from another one.
- `topic`: a Faust topic whose events carry chunks.
- `transport`: gives Faust this consumer, and a producer and conductor with small changes.
- `callbacks`: what the consumer calls in the worker around it.
"""

from app.kafka.delivery.callbacks import Callbacks
from app.kafka.delivery.chunk import Chunk
from app.kafka.delivery.topic import ChunkEvent, ChunkTopic, chunk_events
from app.kafka.delivery.transport import Transport

__all__ = ["Callbacks", "Chunk", "ChunkEvent", "ChunkTopic", "Transport", "chunk_events"]
