"""What a worker reports about itself."""

from collections import Counter

from app.monitoring.group.gathering import counts_of
from app.monitoring.outcomes import Outcomes


def test_what_the_internal_topic_lost_is_counted_apart() -> None:
    counts = counts_of(Outcomes(lost=Counter({"a-completed0": 3, "a-persister-documents": 2})))
    assert (counts.lost, counts.lost_documents) == (5, 2)
