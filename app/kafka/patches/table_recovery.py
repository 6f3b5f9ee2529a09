"""Works around a table recovery that stops silently after a timeout, and a second before it begins.

Recovery stands between an assignment and the first fetch. Faust's waits for each of its steps for
`broker_request_timeout` and mistakes the end of that time for the end of the service: it returns
without a word, and the worker never consumes again.

Seen in faust-streaming 0.15.3. Not reported as such; faust-streaming/faust#47 and #597 have other
causes of a recovery that does not end.

- Symptom: the worker has its partitions and fetches nothing; the log ends in "Restoring state from
  changelog topics" or before.
- Reproduction: a table, a restart, and a broker that is paused (SIGSTOP) for longer than
  `broker_request_timeout` when the recovery begins.
- Mend: `Recovery._wait` tells a time-out (`wait_first` without a result) from the service's own
  stop, and begins again.

And `TableManager.on_start` sleeps for a second, in which an application may still add tables. Ours
has its table before it starts, so that every start was a second longer than it had to be.
"""

from typing import Any

from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import RebalanceAgain, ServiceStopped
from faust.tables.recovery import Recovery as FaustRecovery


class Recovery(FaustRecovery):
    """Starts over if Kafka does not answer, for as long as it takes."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - Faust's
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if self.should_stop:
                raise
            self.log.warning(
                "Kafka did not answer within %s s while the guard's table was read (%s); trying "
                "again.",
                *(timeout, getattr(coro, "__qualname__", coro)),
            )
            self.signal_recovery_start.set()
            raise RebalanceAgain from None


class TableManager(FaustTableManager):
    """Faust's table manager with our recovery, which is ready at once."""

    async def on_start(self) -> None:
        """Register the tables' changelogs, and start to wait for an assignment."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> FaustRecovery:
        """The recovery service, created on first use."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
