"""Builds this worker's own snapshot."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from faust.types import TP

from app.kafka.topics import is_internal
from app.monitoring.group.meter import Meter, Moment
from app.monitoring.group.snapshot import (
    REASONS,
    UNREAD,
    Counts,
    DatabaseState,
    LastLetter,
    Snapshot,
    Unread,
    moment,
    name,
    several,
    short,
)
from app.monitoring.monitored import Monitored, not_ready, seconds_left
from app.monitoring.outcomes import Outcome, Outcomes, Step
from app.version import VERSION


class Gathering:
    """Makes snapshots of a worker.

    Args:
        worker: the worker.
        port: returns the port of its pages. Host name and port identify a worker, unless it has an
            instance id.
    """

    def __init__(self, worker: Monitored, port: Callable[[], int]) -> None:
        self._worker = worker
        self._port = port
        self._meter = Meter(worker.latency.whole)
        self._started = time.time()

    def __call__(self) -> Snapshot:
        """The worker's current state."""
        worker = self._worker
        counts, delays = counts_of(worker.outcomes), worker.latency.whole.counts
        rates, delay = self._meter.look(Moment(time.monotonic(), counts, delays))
        return Snapshot(
            worker=name(worker.kafka.instance_id or f"{socket.gethostname()}:{self._port()}"),
            group=worker.kafka.app_id,
            member=name(worker.progress.member),
            version=VERSION,
            at=time.time(),
            started=self._started,
            why=short(not_ready(worker) or ""),
            counts=counts,
            rates=rates,
            delay=delay,
            database=self._database(),
            held=several(map(short, self._held())),
            set_aside=dict(set_aside(worker.outcomes).most_common(REASONS)),
            latest=several(
                LastLetter(one.at, name(one.place), one.reason.value, short(one.detail))
                for one in reversed(worker.dead_letters.latest)
            ),
            unread=several(self._unread(), UNREAD),
        )

    def _unread(self) -> list[Unread]:
        """The partitions in which this worker is behind, oldest first."""
        worker, now = self._worker, time.time()
        found = []
        for lag in worker.lags.mine():
            if lag.lag:
                tp = TP(lag.topic, lag.partition)
                millis, left = worker.progress.oldest.get(tp), seconds_left(worker, lag)
                found.append(
                    Unread(
                        name(lag.topic),
                        lag.partition,
                        None if millis is None else moment(millis / 1000),
                        None if left is None else moment(now + left),
                    )
                )
        return sorted(found, key=lambda one: one.oldest or now)

    def _database(self) -> DatabaseState:
        writer = self._worker.writer
        failing = writer.availability.failing_since is not None
        database = self._worker.database
        return DatabaseState(
            identity=database.identity.hex() if database.identity and database.marked else "",
            looks=database.looks,
            down=writer.availability.down,
            error=short(writer.availability.last_error or "") if failing else "",
            requests=writer.in_flight,
            limit=writer.limit.current,
            waiting=writer.waiting_documents,
        )

    def _held(self) -> Iterator[str]:
        worker = self._worker
        yield from (topic for topic in worker.breakers.topics() if worker.breakers.holds(topic))
        yield from (f"storing: {reason}" for reason in worker.storing_step.breaker.reasons())


def counts_of(outcomes: Outcomes) -> Counts:
    """The sums that are shown for a worker."""
    sums: Counter[tuple[Step, Outcome]] = Counter()
    for key, count in outcomes.counts.items():
        sums[key.step, key.outcome] += count
    return Counts(
        read=outcomes.consumed[Step.ROUTE],
        skipped=sums[Step.ROUTE, Outcome.SKIPPED],
        stored=sums[Step.STORE, Outcome.STORED],
        duplicates=sums[Step.STORE, Outcome.DUPLICATE],
        dead_letters=sum(set_aside(outcomes).values()),
        lost=outcomes.lost.total(),
        lost_documents=sum(n for topic, n in outcomes.lost.items() if is_internal(topic)),
    )


def set_aside(outcomes: Outcomes) -> Counter[str]:
    """The dead letters of both steps by reason."""
    found: Counter[str] = Counter()
    for key, count in outcomes.counts.items():
        if key.outcome is Outcome.DEAD_LETTERED:
            found[str(key.reason)] += count
    return found
