"""Compares the workers' counts with the expected ones."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from app.monitoring.outcomes import Outcome, Step
from dev.traffic.ledger import Ledger

Line = tuple[str, str, str]
"""Step, outcome, reason (empty where there is none)."""


def miscounted(ledger: Ledger, *reported: Mapping[str, Any]) -> dict[Line, tuple[int, int]]:
    """The outcomes whose counts differ, as (expected, reported).

    Who found a duplicate, the guard or the database, is a matter of timing and not looked at.

    Args:
        ledger: of everything that was sent.
        reported: `outcomes` in `/status` of each worker since its start.
    """
    wanted = Counter[Line]()
    wanted.update(dict(_lines(ledger.outcomes.as_json())))
    found = Counter[Line]()
    for worker in reported:
        for line, count in _lines(worker):
            found[line] += count
    return {
        line: (wanted[line], found[line])
        for line in sorted(wanted.keys() | found.keys())
        if wanted[line] != found[line]
    }


def _lines(reported: Mapping[str, Any]) -> Iterator[tuple[Line, int]]:
    for step in Step:
        for outcome, count in reported[step].items():
            if not isinstance(count, Mapping):
                yield (step.value, outcome, ""), count
            elif outcome == Outcome.DUPLICATE:
                yield (step.value, outcome, ""), sum(count.values())
            else:
                yield from (((step.value, outcome, reason), n) for reason, n in count.items())
