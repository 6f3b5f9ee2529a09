"""All faults, in the order in which they are injected."""

from dev.chaos.fault import Fault
from dev.chaos.faults import broker, changelog, clock, database, disk, mixed, workers

FAULTS: tuple[Fault, ...] = (
    *workers.FAULTS,
    *broker.FAULTS,
    *database.FAULTS,
    *changelog.FAULTS,
    *disk.FAULTS,
    *clock.FAULTS,
    *mixed.FAULTS,
)
