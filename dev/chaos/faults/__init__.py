"""All faults, in the order in which they are injected."""

from dev.chaos.fault import Fault
from dev.chaos.faults import (
    broker,
    changelog,
    clock,
    cluster,
    database,
    defaults,
    disk,
    judge,
    mixed,
    topics,
    workers,
)

FAULTS: tuple[Fault, ...] = (
    *workers.FAULTS,
    *broker.FAULTS,
    *database.FAULTS,
    *changelog.FAULTS,
    *disk.FAULTS,
    *clock.FAULTS,
    *cluster.FAULTS,
    *topics.FAULTS,
    *judge.FAULTS,
    *mixed.FAULTS,
    *defaults.FAULTS,
)
