"""A simulated OpenWhisk: for the demo, tests, benchmarks and an operator's load test.

What happens (`Traffic`), who sends it (`Fleet`: the real store and acknowledgements), when
(`Simulation`), and what must have become of it (`Ledger`). The same seed gives the same records.
"""

from openwhisk.traffic.backlog import prefill
from openwhisk.traffic.counts import miscounted
from openwhisk.traffic.fleet import Fleet, ensure_topics
from openwhisk.traffic.ledger import Differences, Ledger
from openwhisk.traffic.setup import Mix, Setup, Sizes
from openwhisk.traffic.simulation import Simulation, Summary
from openwhisk.traffic.traffic import Traffic

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
