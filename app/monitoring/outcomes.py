"""Counts the outcome of every consumed record, exactly once.

The sums prove that nothing is dropped silently: for each step, the outcomes add up to the records
that it has finished.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from models.reasons import RejectReason, SkipReason


class Step(StrEnum):
    """The two steps that a record passes."""

    ROUTE = "route"
    """From OpenWhisk's topics to the internal topic."""

    STORE = "store"
    """From the internal topic to the database."""


class Outcome(StrEnum):
    """Where a record ends in a step."""

    ROUTED = "routed"
    """Route: its document is acknowledged in the internal topic."""

    SKIPPED = "skipped"
    """Route: nothing in it has to be stored."""

    STORED = "stored"
    """Store: written to the database."""

    DUPLICATE = "duplicate"
    """Store: an equal document was there, by the guard or by the database."""

    DEAD_LETTERED = "dead-lettered"
    """Either: acknowledged in the dead-letter topic."""


@dataclass(frozen=True)
class Key:
    """One line of the count; `reason` is empty where an outcome has none."""

    step: Step
    outcome: Outcome
    reason: SkipReason | RejectReason | str = ""


@dataclass
class Outcomes:
    """The counts since the worker started."""

    counts: Counter[Key] = field(default_factory=Counter)
    consumed: Counter[Step] = field(default_factory=Counter)
    """Records of chunks that are finished."""

    lost: Counter[str] = field(default_factory=Counter)
    """By topic: records that Kafka's retention deleted before they were read."""

    shortened: int = 0
    """Dead letters without the record, which did not fit into the dead-letter topic."""

    def add(self, step: Step, counts: Counter[Key], records: int) -> None:
        """Add a finished chunk.

        Raises:
            AssertionError: its outcomes do not add up to its records, a defect.
        """
        if counts.total() != records:
            raise AssertionError(f"{step}: {records} records, {counts.total()} outcomes: {counts}")
        self.counts.update(counts)
        self.consumed[step] += records

    def as_json(self) -> dict[str, object]:
        """By step, outcome and reason, for `/status`."""
        steps: dict[str, dict[str, object]] = {}
        for step in Step:
            totals: dict[str, object] = {"consumed": self.consumed[step]}
            for key, count in sorted(self.counts.items(), key=lambda item: str(item[0])):
                if key.step is step and key.reason:
                    by_reason = totals.setdefault(key.outcome.value, {})
                    assert isinstance(by_reason, dict)  # noqa: S101 - for the type checker
                    by_reason[str(key.reason)] = count
                elif key.step is step:
                    totals[key.outcome.value] = count
            steps[step.value] = totals
        return {**steps, "lost_to_retention": dict(self.lost)}
