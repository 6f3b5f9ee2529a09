"""Quiets those of Faust's services that would wake an idle worker for nothing."""

from faust.sensors import Monitor
from mode import OneForOneSupervisor, Service


class StillMonitor(Monitor):
    """Faust's sensor, without rates by the second: the worker's own figures are in `/metrics`."""

    @Service.task
    async def _sampler(self) -> None:
        """Nothing."""


class StillSupervisor(OneForOneSupervisor):
    """Faust's of an agent, which restarts nothing.

    An agent that fails ends the worker (`Persister._on_agent_error`): started again within it, it
    would never be given the chunk that it failed with.
    """

    @Service.task
    async def _supervisor(self) -> None:
        """Nothing; Faust's looks every five seconds whether an agent has ended."""
