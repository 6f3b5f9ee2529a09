"""Some of the other faults, on a broker with Kafka's default settings.

Sessions are longer, dead members are noticed later, and topics that somebody asks for are made.
"""

from dataclasses import replace

from dev.chaos.fault import Fault, Kind
from dev.chaos.faults import broker, cluster, topics, workers

CHOSEN = {
    "sigkill": 3,
    "broker-kill": 1,
    "broker-frozen-at-the-end": 1,
    "cluster-moved": 1,
    "topic-deleted": 1,
    "topic-made-again": 1,
}
"""Their names, and how often they are inflicted."""

FAULTS: tuple[Fault, ...] = tuple(
    replace(
        fault,
        name=f"defaults-{fault.name}",
        kind=Kind.DEFAULTS,
        recovery=2 * fault.recovery,
        rounds=CHOSEN[fault.name],
        short=0,
        anytime=False,
    )
    for fault in (*workers.FAULTS, *broker.FAULTS, *cluster.FAULTS, *topics.FAULTS)
    if fault.name in CHOSEN
)
