"""A simulated OpenWhisk for the demo, tests, benchmarks and load tests.

What happens (`Traffic`), who sends it (`Fleet`: the real store and acknowledgements), when
(`Simulation`), and what must have become of it (`Ledger`). The same seed gives the same records.
"""

from dev.traffic.backlog import prefill
from dev.traffic.counts import miscounted
from dev.traffic.fleet import Fleet, ensure_topics
from dev.traffic.ledger import Differences, Ledger
from dev.traffic.setup import Mix, Setup, Sizes
from dev.traffic.simulation import Simulation, Summary
from dev.traffic.traffic import Traffic

__all__ = [
    "Differences",
    "Fleet",
    "Ledger",
    "Mix",
    "Setup",
    "Simulation",
    "Sizes",
    "Summary",
    "Traffic",
    "ensure_topics",
    "miscounted",
    "prefill",
]
