"""The judge's fixed input, and the time after which something counts as standing still."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.kafka.topics import TopicNames
from app.settings import DatabaseSettings, Settings
from app.storing.step import PACED_SECONDS

STANDING = 8.0
"""Seconds without movement after which something stands still.

Together with the pause between two looks it must stay below 15, but longer than a rebalance and a
slow request.
"""


@dataclass(frozen=True)
class Rules:
    """What stays the same while the worker runs.

    Args:
        documents: the name of the internal topic.
        required: names of topics that the worker needs.
        wanted: tells whether a topic should be read.
        discovery: seconds within which a new topic or partition must be read by somebody.
        in_flight: how many documents may be on their way to the database at a time.
        request_timeout: seconds that a request to the database may take.
        session: seconds that the group waits for a dead member before it rebalances.
        paced: with a maximum rate, how many documents may be stored from when one is taken until it
            is; None without.
    """

    documents: str
    required: Collection[str]
    wanted: Callable[[str], bool]
    discovery: float
    in_flight: int
    request_timeout: float
    session: float
    paced: float | None = None


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
        paced=_paced(settings.database),
    )


def _paced(database: DatabaseSettings) -> float | None:
    """What waits for a request, what requests have, and what passes one until it times out.

    No request has more than a second's worth.
    """
    if not (most := database.documents_of_a_second):
        return None
    passing = database.documents_per_second * database.request_timeout
    return most * (PACED_SECONDS + database.requests_in_flight) + passing
