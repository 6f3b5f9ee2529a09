"""The values that the templates show."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from app.monitoring.activity import EVERY, Activity, Estimate, first
from app.monitoring.group.snapshot import Counts, LastLetter, Snapshot
from app.monitoring.history import Sample
from app.monitoring.monitored import Monitored
from app.monitoring.page.condition import condition_of
from app.monitoring.page.trouble import Condition, Partition, Summary, summary
from app.monitoring.progress import State
from app.process.recent import Line
from app.settings.listing import Row, rows
from app.version import VERSION

MOST_PARTITIONS = 300
"""Most rows of the table, so that the page stays small, however many topics there are."""

MOST_LETTERS = 10

MOST_BUSY = 5
"""How many to show of those that run most, that fail most, and that wait most."""


@dataclass(frozen=True)
class View:
    """The values of the status page.

    Args:
        partitions: those that need a look first.
        left_out: how many more there are.
        counts: sums of all workers in the roster, since the start of each.
        lately: means of the last minute; None before the first sample.
        set_aside: dead letters of all workers by reason, the most frequent first.
        latest: the latest dead letters, newest first.
        warnings: warnings in this worker's log, newest first.
        settings: this worker's settings, without secrets.
        activity: the most active namespaces and actions; None if switched off.
    """

    version: str
    app_id: str
    condition: Condition
    summary: Summary
    own: Snapshot
    partitions: Sequence[Partition]
    left_out: int
    counts: Counts
    lately: Sample | None
    set_aside: Sequence[tuple[str, int]]
    latest: Sequence[LastLetter]
    warnings: Sequence[Line]
    settings: Sequence[Row]
    guard: int
    activity: "Busiest | None" = None


@dataclass(frozen=True)
class Busiest:
    """The namespaces and actions that run, fail or wait most.

    Args:
        one_in: one in this many documents is read.
    """

    one_in: int
    namespaces: Sequence[Estimate]
    actions: Sequence[Estimate]


def view_of(worker: Monitored) -> View:
    """The current values of the page."""
    condition = condition_of(worker)
    # Including missing workers: what they have done still counts.
    snapshots = [one.snapshot for one in condition.workers]
    partitions = ordered(condition.partitions)
    return View(
        version=VERSION,
        app_id=worker.kafka.app_id,
        condition=condition,
        summary=summary(condition),
        own=worker.roster.own,
        partitions=partitions[:MOST_PARTITIONS],
        left_out=max(0, len(partitions) - MOST_PARTITIONS),
        counts=total(one.counts for one in snapshots),
        lately=worker.history.lately(),
        set_aside=by_reason(snapshots),
        latest=latest(snapshots),
        warnings=list(reversed(worker.warnings.lines)),
        settings=list(rows(worker.settings, os.environ)),
        guard=sum(worker.guard.remembered().values()),
        activity=busiest(worker.watched.activity),
    )


def busiest(activity: Activity | None) -> Busiest | None:
    """The part of the activity that is shown."""
    if activity is None:
        return None
    return Busiest(EVERY, first(activity.namespaces, MOST_BUSY), first(activity.actions, MOST_BUSY))


_FIRST = {State.STUCK: 0, State.WAITING: 1}


def ordered(partitions: Iterable[Partition]) -> list[Partition]:
    """Stuck partitions first, then waiting ones; within these by lag and name."""
    return sorted(
        partitions,
        key=lambda one: (_FIRST.get(one.state, 2), -(one.lag or 0), one.topic, one.number),
    )


def total(counts: Iterable[Counts]) -> Counts:
    """The sums of counts."""
    sums: Counter[str] = Counter()
    for one in counts:
        sums.update(msgspec.structs.asdict(one))
    return Counts(**sums)


def by_reason(snapshots: Iterable[Snapshot]) -> list[tuple[str, int]]:
    """Dead letters of all workers, the most frequent reason first."""
    sums: Counter[str] = Counter()
    for one in snapshots:
        sums.update(one.set_aside)
    return sums.most_common()


def latest(snapshots: Iterable[Snapshot]) -> list[LastLetter]:
    """The last dead letters of all workers, newest first."""
    letters = sorted(
        (letter for one in snapshots for letter in one.latest), key=lambda one: -one.at
    )
    return list(islice(letters, MOST_LETTERS))
