"""Searches for activations within a worker: a few at a time, briefly, beside its work."""

from app.monitoring.trace.account import Account
from app.monitoring.trace.activation import ActivationId
from app.monitoring.trace.search import Limits, trace
from app.settings import Settings
from app.storing.guard import Guard, identify

MOST = 2
"""Searches at a time."""

LIMITS = Limits(kafka=10.0, database=5.0, share=0.5)
"""Seconds for each, and share of the event loop."""


class TraceBusyError(Exception):
    """As many activations as may be are being looked for already."""


class Desk:
    """Takes questions for activations.

    Args:
        settings: the worker's.
        guard: what it remembers is told, of the partitions that this worker has.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._searches = 0

    async def ask(self, activation: ActivationId) -> Account:
        """Where an activation is.

        Raises:
            TraceBusyError: others are being looked for.
        """
        if self._searches >= MOST:
            raise TraceBusyError
        self._searches += 1
        try:
            return await trace(self._settings, activation, LIMITS, self._remembered)
        finally:
            self._searches -= 1

    def _remembered(self, partition: int, document: bytes) -> bool:
        try:
            _, digest = identify(document)
        except ValueError:
            return False
        return bool(self._guard.known(partition, [digest]))
