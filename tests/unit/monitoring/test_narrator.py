"""What the log is told again and again."""

from app.monitoring.narrator import hour, troubles
from app.monitoring.outcomes import Key, Outcome, Step
from app.monitoring.page.trouble import Finding, Level
from models.reasons import RejectReason

STORED = Key(Step.STORE, Outcome.STORED)


def test_only_trouble_is_told_again() -> None:
    found = [
        Finding(Level.TROUBLE, "The database is away.", do="Look at it."),
        Finding(Level.MIND, "A letter came."),
    ]
    assert troubles(found) == ["The database is away. Look at it."]


def test_an_hour_is_what_came_since_the_last_one() -> None:
    before = {STORED: 10}
    now = {
        STORED: 15,
        Key(Step.STORE, Outcome.DUPLICATE, "guard"): 2,
        Key(Step.STORE, Outcome.DUPLICATE, "database"): 1,
        Key(Step.ROUTE, Outcome.DEAD_LETTERED, RejectReason.NOT_JSON): 1,
        Key(Step.STORE, Outcome.DEAD_LETTERED, RejectReason.REFUSED): 3,
    }
    assert hour(before, now, 7) == (
        "In the last hour: 5 stored, 3 duplicates, 0 skipped, 4 set aside; "
        "7 records are on the way."
    )
