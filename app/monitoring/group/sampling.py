"""A sample of the whole group, for the charts."""

from app.monitoring.history import Sample
from app.monitoring.monitored import Monitored


def sample(worker: Monitored) -> Sample:
    """The current state: rates of all workers that can be heard, and the lag according to Kafka."""
    workers = [one.snapshot for one in worker.roster.workers() if not one.missing]
    own = worker.roster.own
    return Sample(
        at=own.at,
        read=sum(one.rates.read for one in workers),
        stored=sum(one.rates.stored for one in workers),
        duplicates=sum(one.rates.duplicates for one in workers),
        skipped=sum(one.rates.skipped for one in workers),
        dead_letters=sum(one.rates.dead_letters for one in workers),
        lag=_lag(worker),
        oldest=_oldest(worker),
        half=own.delay.half if own.delay else None,
        most=own.delay.most if own.delay else None,
        requests=float(sum(one.database.limit for one in workers)),
        waiting=float(sum(one.database.waiting for one in workers)),
    )


def _lag(worker: Monitored) -> float | None:
    """The lag of all partitions that the group should read; None while it is unknown."""
    if worker.progress.kafka.away_since is not None:
        return None
    lags = [one.reach.lag for one in worker.progress.verdict.partitions.values()]
    known = [lag for lag in lags if lag is not None]
    return float(sum(known)) if known else None


def _oldest(worker: Monitored) -> float | None:
    progress = worker.progress
    if progress.kafka.away_since is not None or not progress.verdict.partitions:
        return None
    oldest = min(progress.oldest.values(), default=None)
    return 0.0 if oldest is None else max(0.0, progress.now() - oldest / 1000)
