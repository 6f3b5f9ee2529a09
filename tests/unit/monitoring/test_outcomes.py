from collections import Counter

import pytest

from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from models.reasons import RejectReason, SkipReason

STORED = Key(Step.STORE, Outcome.STORED)
ROUTED = Key(Step.ROUTE, Outcome.ROUTED)
SKIPPED = Key(Step.ROUTE, Outcome.SKIPPED, SkipReason.NO_RECORD)
REJECTED = Key(Step.ROUTE, Outcome.DEAD_LETTERED, RejectReason.NOT_JSON)


def test_counts_of_chunks_add_up() -> None:
    outcomes = Outcomes()
    outcomes.add(Step.ROUTE, Counter({ROUTED: 2, SKIPPED: 1}), 3)
    outcomes.add(Step.ROUTE, Counter({ROUTED: 1, REJECTED: 1}), 2)
    outcomes.add(Step.STORE, Counter({STORED: 3}), 3)
    assert outcomes.consumed == {Step.ROUTE: 5, Step.STORE: 3}
    assert outcomes.as_json() == {
        "route": {
            "consumed": 5,
            "routed": 3,
            "skipped": {"no-record": 1},
            "dead-lettered": {"not-json": 1},
        },
        "store": {"consumed": 3, "stored": 3},
        "lost_to_retention": {},
    }


@pytest.mark.parametrize("records", [2, 4])
def test_a_record_without_an_outcome_or_with_two_is_a_defect_that_changes_nothing(
    records: int,
) -> None:
    outcomes = Outcomes()
    with pytest.raises(AssertionError, match=f"route: {records} records, 3 outcomes"):
        outcomes.add(Step.ROUTE, Counter({ROUTED: 3}), records)
    assert outcomes.counts == Counter()
    assert outcomes.consumed == Counter()
