"""Logs what persists: every minute what is still wrong, every hour what was done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mode import Service

from app.monitoring.monitored import Monitored
from app.monitoring.outcomes import Key, Outcome, Step
from app.monitoring.page.condition import condition_of
from app.monitoring.page.trouble import Finding, Level, summary
from app.process.words import counted

REMIND_SECONDS = 60.0
"""Seconds between two reminders."""

SUMMARY_SECONDS = 3600.0
"""Seconds between two summaries."""


class Narrator(Service):
    """Logs reminders and hourly summaries.

    Args:
        worker: the worker to report on.
    """

    def __init__(self, worker: Monitored, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._worker = worker
        self._told: Counter[Key] = Counter()

    @Service.timer(REMIND_SECONDS)
    async def _remind(self) -> None:
        # If the worker is not ready, the progress service says so, at the same interval.
        if self._worker.progress.verdict.not_ready is None:
            for line in troubles(summary(condition_of(self._worker)).findings):
                self.log.warning("%s", line)

    @Service.timer(SUMMARY_SECONDS)
    async def _sum_up(self) -> None:
        outcomes = self._worker.outcomes
        lag = sum(one.lag or 0 for one in self._worker.lags.mine())
        self.log.info("%s", hour(self._told, outcomes.counts, lag))
        self._told = Counter(outcomes.counts)


def troubles(findings: Iterable[Finding]) -> list[str]:
    """A line for each finding that is trouble: something does not move, or will be lost."""
    return [
        " ".join(filter(None, (one.what, one.why, one.do)))
        for one in findings
        if one.level is Level.TROUBLE
    ]


def hour(before: Mapping[Key, int], now: Mapping[Key, int], lag: int) -> str:
    """A summary of what was done since the last one.

    Args:
        before: the counts at the last summary.
        now: the current counts.
        lag: unfinished records in this worker's partitions.
    """
    done: Counter[tuple[Step, Outcome]] = Counter()
    for key, count in now.items():
        done[key.step, key.outcome] += count - before.get(key, 0)
    set_aside = sum(done[step, Outcome.DEAD_LETTERED] for step in Step)
    return (
        f"In the last hour: {done[Step.STORE, Outcome.STORED]} stored, "
        f"{counted(done[Step.STORE, Outcome.DUPLICATE], 'duplicate')}, "
        f"{done[Step.ROUTE, Outcome.SKIPPED]} skipped, {set_aside} set aside; "
        f"{counted(lag, 'record is', 'records are')} on the way."
    )
