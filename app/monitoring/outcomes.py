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
    """Route: it has nothing to store."""

    STORED = "stored"
    """Store: written to the database."""

    DUPLICATE = "duplicate"
    """Store: an equal document was already there, according to the guard or the database."""

    DEAD_LETTERED = "dead-lettered"
    """Both: acknowledged in the dead-letter topic."""


@dataclass(frozen=True)
class Key:
    """A counter; `reason` is empty if the outcome has none."""

    step: Step
    outcome: Outcome
    reason: SkipReason | RejectReason | str = ""


@dataclass
class Outcomes:
    """The counts since the worker started."""

    counts: Counter[Key] = field(default_factory=Counter)
    consumed: Counter[Step] = field(default_factory=Counter)
    """Records of finished chunks."""

    lost: Counter[str] = field(default_factory=Counter)
    """Records that Kafka's retention deleted before they were read, by topic."""

    shortened: int = 0
    """Dead letters without their record, which did not fit into the dead-letter topic."""

    def add(self, step: Step, counts: Counter[Key], records: int) -> None:
        """Add a finished chunk.

        Raises:
            AssertionError: its outcomes do not add up to its records; this is a defect.
        """
        if counts.total() != records:
            raise AssertionError(f"{step}: {records} records, {counts.total()} outcomes: {counts}")
        self.counts.update(counts)
        self.consumed[step] += records

    def as_json(self) -> dict[str, object]:
        """The counts by step, outcome and reason, for `/status`."""
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
