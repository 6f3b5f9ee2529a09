"""What this worker knows of itself, gathered without waiting for anything.

The consumer lives in a thread of its own; only plain attributes of it are read, so that a thread
that hangs does not hold up who asks.
"""

from typing import TYPE_CHECKING, Any

from app.monitoring.outcomes import Step
from app.monitoring.progress.facts import Database, Worker

if TYPE_CHECKING:
    from app.application import Persister


class Knowledge:
    """Reads the application's parts.

    Args:
        app: the application.
    """

    def __init__(self, app: "Persister") -> None:
        self._app = app
        self._started = False

    def __call__(self) -> Worker:
        """What is known now."""
        app = self._app
        recovery = app.recovery
        recovered = recovery.completed.is_set()
        self._started = self._started or recovered
        coordinator = _coordinator(app)
        return Worker(
            member=str(getattr(coordinator, "member_id", "")),
            generation=int(getattr(coordinator, "generation", -1)),
            stopping=app.should_stop,
            started=self._started,
            rebalancing=app.rebalancing or not recovered,
            recovery_left=0 if recovered else recovery.active_remaining_total(),
            held=self._held(),
            unsent=app.producer_service.trouble,
            database=self._database(),
        )

    def _held(self) -> dict[str, str]:
        breakers = self._app.breakers
        held = {
            topic: opened.why
            for topic, opened in breakers.topics().items()
            if opened and breakers.holds(topic)
        }
        # Neither is mended by a restart, which would only begin them anew.
        writer = self._app.writer
        if writer.narrowing and writer.availability.failing_since is None:
            held[self._app.names.documents] = (
                f"requests that fail while others pass: {writer.narrowing}"
            )
        if parked := writer.diagnosis.parked:
            held[self._app.names.documents] = f"documents under diagnosis: {parked}"
        for opened in self._app.storing_step.breaker.reasons().values():
            held[self._app.names.documents] = opened.why
        return held | self._app.discovery.unreadable

    def _database(self) -> Database:
        writer, consumed = self._app.writer, self._app.outcomes.consumed
        availability, stats = writer.availability, writer.stats
        last_error = availability.last_error or ""
        failing = availability.failing_since is not None
        return Database(
            failing=last_error if failing else "",
            last_error=last_error,
            settled=stats.documents_written + stats.conflicts_read_back + consumed[Step.STORE],
            answers=stats.requests.total(),
            busy=writer.in_flight > 0 or writer.waiting_documents > 0,
        )


def _coordinator(app: "Persister") -> Any:
    """Of aiokafka's consumer; None while there is none."""
    thread = getattr(app.consumer, "_thread", None)
    return getattr(getattr(thread, "_consumer", None), "_coordinator", None)
