"""The possible verdicts about a record."""

from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    """Where a record that Kafka holds has ended."""

    PRESENT = "present"
    """Its document is in the database, and equal."""

    ROUNDED = "rounded"
    """The same, but for integers over 2^53: this database keeps them as doubles (CouchDB does not).
    """

    NOT_COMPARED = "not compared"
    """A document is in the database under its id; the record has too many values to be compared."""

    PENDING = "pending"
    """Not stored, and on its way: the worker has not come so far yet."""

    SET_ASIDE = "set aside"
    """It is a dead letter."""

    LEFT_OUT = "left out"
    """A store level or an excluded namespace keeps it from being stored."""

    ACKNOWLEDGEMENT = "acknowledgement"
    """There is no record in it, and none is known to be missing for it."""

    MISSING = "missing"
    """Its document is not in the database."""

    DIFFERENT = "different"
    """The database holds another document under its id."""

    NOT_SET_ASIDE = "not set aside"
    """It is nothing that can be stored, and not among the dead letters either."""

    NEVER_ARRIVED = "never arrived"
    """An acknowledgement of an activation whose record is on no topic."""


class Ending(StrEnum):
    """The outcome of an activation, once every record of it was judged."""

    STORED = "stored"
    SKIPPED = "skipped"
    SET_ASIDE = "set aside"
    NEVER_ARRIVED = "never arrived"
    MISSING = "missing"
    DIFFERENT = "different"
    NOT_SET_ASIDE = "not set aside"


ENDINGS: Final = {
    Verdict.MISSING: Ending.MISSING,
    Verdict.DIFFERENT: Ending.DIFFERENT,
    Verdict.NOT_SET_ASIDE: Ending.NOT_SET_ASIDE,
    Verdict.PRESENT: Ending.STORED,
    Verdict.ROUNDED: Ending.STORED,
    Verdict.NOT_COMPARED: Ending.STORED,
    Verdict.SET_ASIDE: Ending.SET_ASIDE,
    Verdict.LEFT_OUT: Ending.SKIPPED,
    Verdict.NEVER_ARRIVED: Ending.NEVER_ARRIVED,
}
"""What the verdict of one record makes of its activation; of several, the first one here counts."""

FAILURES: Final = (
    Verdict.MISSING,
    Verdict.DIFFERENT,
    Verdict.NOT_SET_ASIDE,
    Verdict.NEVER_ARRIVED,
)
"""The verdicts that an audit must not find."""
