"""Searches for activations within a worker: a few at a time, briefly, beside its work."""

import asyncio

from app.monitoring.trace.account import Account
from app.monitoring.trace.activation import ActivationId
from app.monitoring.trace.search import Limits, trace
from app.settings import Settings
from app.storing.guard import Guard, identify

MOST = 2
"""How many searches may run at a time."""

LIMITS = Limits(kafka=10.0, database=5.0, share=0.5)
"""Seconds for Kafka and the database, and the share of the event loop's time."""


class TraceBusyError(Exception):
    """The highest number of searches is already running."""


class Desk:
    """Searches for activations within a worker.

    Args:
        settings: the worker's settings.
        guard: tells which documents it remembers, in this worker's partitions.
    """

    def __init__(self, settings: Settings, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._searches = 0

    async def ask(self, activation: ActivationId) -> Account:
        """Where an activation is.

        Raises:
            TraceBusyError: too many searches are running.
        """
        if self._searches >= MOST:
            raise TraceBusyError
        self._searches += 1
        try:
            return await trace(self._settings, activation, LIMITS, self._remembered)
        finally:
            self._searches -= 1

    async def _remembered(self, partition: int, document: bytes) -> bool:
        try:
            _, digest = await asyncio.to_thread(identify, document)
        except ValueError:
            return False
        return bool(self._guard.known(partition, [digest]))
