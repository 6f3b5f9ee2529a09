"""Keeps the position up to which a standing audit has reached a final verdict on every record.

It is kept in Kafka, as the committed offsets of the audit's own consumer group. Unlike a file in
the data folder, it outlives the container in which the audit runs, and Kafka's own tools show and
set it. When Kafka has forgotten it, after a week without an audit, the audit begins with the oldest
record that Kafka still holds.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.audit.committed import committed_offsets
from app.audit.errors import AuditError
from app.kafka import bookmarks
from app.kafka.admin import Admin
from app.kafka.errors import GroupAuthorizationFailedError
from app.kafka.reader import TopicPartition
from app.settings import KafkaSettings


def group_of(app_id: str) -> str:
    """The consumer group that holds the marks."""
    return f"{app_id}-audit"


async def read_marks(admin: Admin, settings: KafkaSettings) -> dict[TopicPartition, int]:
    """Read them; empty before the first audit.

    Raises:
        AuditError: the right to use the group is missing, or its coordinator stays away.
        KafkaError: Kafka is not reachable.
    """
    with _explained(settings):
        return await committed_offsets(admin, group_of(settings.app_id))


async def keep_marks(settings: KafkaSettings, marks: Mapping[TopicPartition, int]) -> None:
    """Keep them; raises as `read_marks` does."""
    with _explained(settings):
        if marks:
            await bookmarks.keep(settings, group_of(settings.app_id), marks)


@contextmanager
def _explained(settings: KafkaSettings) -> Iterator[None]:
    try:
        yield
    except GroupAuthorizationFailedError:
        group = group_of(settings.app_id)
        raise AuditError(
            f"Kafka does not allow the consumer group {group}, which holds how far the standing "
            "audit has come: grant Read on it"
        ) from None
