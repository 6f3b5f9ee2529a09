"""The judge's fixed input, and the time after which something counts as standing still."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.kafka.topics import TopicNames
from app.settings import Settings

STANDING = 8.0
"""Seconds without movement after which something stands still.

With the pause between two looks it has to stay below 15, and above what a rebalance and a slow
request take.
"""


@dataclass(frozen=True)
class Rules:
    """What does not change while the worker runs.

    Args:
        documents: the internal topic.
        required: topics without which the worker cannot work.
        wanted: whether a topic should be read.
        discovery: seconds that a new topic or partition may take until somebody reads it.
        in_flight: documents that may be in front of a document on its way to the database.
        request_timeout: seconds that a request to the database may take.
        session: seconds that the group waits for a member which is dead, before it rebalances.
    """

    documents: str
    required: Collection[str]
    wanted: Callable[[str], bool]
    discovery: float
    in_flight: int
    request_timeout: float
    session: float


def rules_of(settings: Settings, names: TopicNames) -> Rules:
    """The rules of a deployment."""
    kafka = settings.kafka
    log_mode = settings.routing.log_mode
    return Rules(
        documents=names.documents,
        required=(names.documents, names.dead_letters, f"{kafka.app_id}-guard-changelog"),
        wanted=lambda topic: names.role(topic, log_mode) is not None,
        discovery=kafka.discovery_interval,
        in_flight=settings.worker.in_flight_documents,
        request_timeout=settings.database.request_timeout,
        session=kafka.session_timeout,
    )
