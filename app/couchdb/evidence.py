"""Decides whether a failure is the document's fault or the database's. Pure.

No single answer is proof, since a bad document and a database in trouble get the same words:
`insufficent_storage` inside a 201, `unknown_error` from a validation function that throws, a
proxy's page. A document is condemned when it has failed *alone*, several times over a while, with
others written in between. While nothing is written at all, the database is at fault.

When no other documents come to be written, a probe (`Database.probe`) stands in for them, but only
for a few documents: so few that all of them may be bad by chance.
"""

from dataclasses import dataclass, field

from app.settings import DiagnosisSettings

LONERS = 3
"""From so many failing documents on, a probe is no longer trusted and the database is at fault: a
validation function may accept a probe and refuse every record.
"""

AT_LIMIT = 2
"""Failures alone that are enough when a diagnosis has lasted as long as it may."""

DOUBTFUL = 5
"""The same of failures that by their words are the database's: a proxy may answer one body with 429
or 404."""

COMES_AND_GOES = 10
"""The same of failures from which others recover: a diagnosis ends even where errors come and go,
and what fails every other time does not fail ten times running."""

BY_CHANCE = 3
"""Failures beside others that pass, before a time-out and the like speak against a request."""

UNLIKELY = 10
"""The same before an answer that blames the database itself (429, 503) speaks against a request."""


@dataclass(eq=False, slots=True)
class Case:
    """The evidence against one document.

    Args:
        opened: When it left its request, seconds; later by the time in which nothing passed.
        noted: When it last failed.
        opened_at_pass: `Evidence.passes` then.
        vouched: Whether another document of its request was written when it failed.
    """

    opened: float
    noted: float
    opened_at_pass: int
    vouched: bool
    beside: int = 0
    """Failures alone while others passed, whatever was said."""
    failures: int = 0
    """Those of them that count."""
    first: float | None = None
    """When the first of these was, moved as `opened` is."""
    seen_passes: int = 0
    """`Evidence.passes` at the last failure."""
    seen_recoveries: int = 0
    """`Evidence.recoveries` at the last failure."""
    cause: str = ""
    """What it last failed with."""
    flapping: bool = False
    """Whether others recovered from what it fails with."""
    flapped: bool = False
    """Whether that was ever so."""


@dataclass
class Evidence:
    """Follows what passes and what fails in all requests of a writer.

    Args:
        settings: How much is enough.
    """

    settings: DiagnosisSettings
    passes: int = 0
    """Requests in which at least one document was written."""
    recoveries: int = 0
    """Documents that failed and were written after all."""
    cases: set[Case] = field(default_factory=set)
    """Those that are open."""
    _recovered: dict[str, int] = field(default_factory=dict)
    """By error, the number of the last recovery from it."""

    def open(self, now: float, *, vouched: bool) -> Case:
        """Begin a case.

        Args:
            now: Seconds.
            vouched: See `Case`.
        """
        case = Case(now, now, self.passes, vouched)
        case.seen_passes, case.seen_recoveries = self.passes, self.recoveries
        self.cases.add(case)
        return case

    def close(self, case: Case, recovered_from: str | None = None) -> None:
        """End a case; when its document was written after all, the error was not its own."""
        self.cases.discard(case)
        if recovered_from is not None:
            self.recoveries += 1
            self._recovered[recovered_from] = self.recoveries

    def trusts_probe(self, case: Case | None = None) -> bool:
        """Whether a probe that passes is enough to speak for the database.

        Args:
            case: Of the document that failed; None: of one that has no case yet.
        """
        if case is not None and self._vouched(case):
            return True
        lonely = sum(not self._vouched(one) for one in self.cases)
        return lonely + (case is None) <= LONERS

    def failed(
        self, case: Case, now: float, cause: str, *, others_pass: bool, telling: bool = True
    ) -> bool:
        """Take note of a failure alone; returns whether the document is condemned now.

        Args:
            case: The document's.
            now: Seconds.
            cause: What it failed with.
            others_pass: Whether others were written since its last failure, or a probe that is
                trusted has just passed.
            telling: Whether the error may be about the document, by its words.
        """
        case.cause = cause
        case.flapping = self._others_recovered(case)
        case.flapped |= case.flapping
        case.seen_passes, case.seen_recoveries = self.passes, self.recoveries
        passed, case.noted = now - case.noted, now
        if not others_pass:
            # An outage says nothing about the document, however long it is.
            case.opened += passed
            case.first = None if case.first is None else case.first + passed
            return False
        case.beside += 1
        enough = self.settings
        overdue = now - case.opened >= enough.limit
        if overdue and case.beside >= (COMES_AND_GOES if case.flapped else DOUBTFUL):
            return True
        if case.flapping:
            # Others recovered from the very same error: it comes and goes, whatever is written.
            case.failures, case.first = 0, None
        elif telling:
            case.failures += 1
            case.first = now if case.first is None else case.first
        if case.first is None:
            return False
        long_enough = now - case.first >= enough.seconds
        return (case.failures >= enough.attempts and long_enough) or (
            case.failures >= AT_LIMIT and overdue
        )

    def suffices(self, case: Case, now: float) -> bool:
        """Whether its time is over and what is known is enough, without another attempt.

        Where many wait for their turn, the next one would come late and tell nothing new: it failed
        alone at the limit's number of times, others were written in between and since.

        Args:
            case: The document's.
            now: Seconds.
        """
        enough = self.settings
        return (
            now - case.opened >= enough.limit
            and case.failures >= AT_LIMIT
            and case.first is not None
            and case.noted - case.first >= enough.seconds
            and self.passes > case.seen_passes
            and not self._others_recovered(case)
        )

    def _others_recovered(self, case: Case) -> bool:
        """Since it last failed, from what it last failed with."""
        return self._recovered.get(case.cause, 0) > case.seen_recoveries

    def _vouched(self, case: Case) -> bool:
        return case.vouched or self.passes > case.opened_at_pass
