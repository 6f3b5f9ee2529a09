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
"""With more failing documents than this, a probe is no longer trusted, and the database is at
fault: a validation function may accept a probe and refuse every record.
"""

AT_LIMIT = 2
"""How many failures alone are enough once a diagnosis has reached its time limit."""

DOUBTFUL = 5
"""How many are enough then if the errors blame the database: a proxy may answer a single body with
429 or 404.
"""

COMES_AND_GOES = 10
"""How many are enough then if other documents recovered from the same error: a diagnosis ends even
if errors come and go, and what fails every other time does not fail ten times in a row.
"""

BY_CHANCE = 3
"""Failures while others pass, after which a time-out or the like counts against a request."""

UNLIKELY = 10
"""Failures while others pass, after which even an answer that blames the database (429, 503) counts
against a request.
"""


@dataclass(eq=False, slots=True)
class Case:
    """The evidence against one document.

    Args:
        opened: when it left its request, in seconds; moved later by the time in which nothing
        passed.
        noted: when it last failed.
        opened_at_pass: `Evidence.passes` when the case was opened.
        vouched: whether another document of its request was written when it failed.
    """

    opened: float
    noted: float
    opened_at_pass: int
    vouched: bool
    beside: int = 0
    """Failures alone while others passed, with any error."""
    failures: int = 0
    """Those of these failures that count against the document."""
    first: float | None = None
    """When the first of those that count was, moved like `opened`."""
    seen_passes: int = 0
    """`Evidence.passes` at the last failure."""
    seen_recoveries: int = 0
    """`Evidence.recoveries` at the last failure."""
    cause: str = ""
    """The cause of the last failure."""
    flapping: bool = False
    """Whether other documents recovered from the same error since the previous failure."""
    flapped: bool = False
    """Whether it was ever `flapping`."""


@dataclass
class Evidence:
    """Follows what passes and what fails in all requests of a writer.

    Args:
        settings: how much evidence is enough.
    """

    settings: DiagnosisSettings
    passes: int = 0
    """Requests in which at least one document was written."""
    recoveries: int = 0
    """Documents that failed, but were written after all."""
    cases: set[Case] = field(default_factory=set)
    """The open cases."""
    _recovered: dict[str, int] = field(default_factory=dict)
    """The number of the last recovery from each error."""

    def open(self, now: float, *, vouched: bool) -> Case:
        """Open a case.

        Args:
            now: monotonic seconds.
            vouched: see `Case`.
        """
        case = Case(now, now, self.passes, vouched)
        case.seen_passes, case.seen_recoveries = self.passes, self.recoveries
        self.cases.add(case)
        return case

    def close(self, case: Case, recovered_from: str | None = None) -> None:
        """Close a case; with `recovered_from`, the error that its document has recovered from."""
        self.cases.discard(case)
        if recovered_from is not None:
            self.recoveries += 1
            self._recovered[recovered_from] = self.recoveries

    def trusts_probe(self, case: Case | None = None) -> bool:
        """Whether a probe that passes is enough to clear the database.

        Args:
            case: the case of the document that failed; None if it has none yet.
        """
        if case is not None and self._vouched(case):
            return True
        lonely = sum(not self._vouched(one) for one in self.cases)
        return lonely + (case is None) <= LONERS

    def failed(
        self, case: Case, now: float, cause: str, *, others_pass: bool, telling: bool = True
    ) -> bool:
        """Record a failure alone; returns whether the document is condemned now.

        Args:
            case: the document's case.
            now: monotonic seconds.
            cause: the cause of the failure.
            others_pass: whether others were written since its last failure, or a trusted probe has
                just passed.
            telling: whether the error, by its words, may be about the document.
        """
        case.cause = cause
        case.flapping = self._others_recovered(case)
        case.flapped |= case.flapping
        case.seen_passes, case.seen_recoveries = self.passes, self.recoveries
        passed, case.noted = now - case.noted, now
        if not others_pass:
            # An outage says nothing about the document, however long it takes.
            case.opened += passed
            case.first = None if case.first is None else case.first + passed
            return False
        case.beside += 1
        enough = self.settings
        overdue = now - case.opened >= enough.limit
        if overdue and case.beside >= (COMES_AND_GOES if case.flapped else DOUBTFUL):
            return True
        if case.flapping:
            # Others recovered from the same error, so it comes and goes, whatever is written.
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
        """Whether a case at its time limit can be decided without another attempt.

        If many documents wait for their turn, the next attempt would come late and tell nothing
        new: the document has failed alone `AT_LIMIT` times, and others were written in between and
        since.

        Args:
            case: the document's case.
            now: monotonic seconds.
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
        """Whether others recovered from the same error since its last failure."""
        return self._recovered.get(case.cause, 0) > case.seen_recoveries

    def _vouched(self, case: Case) -> bool:
        return case.vouched or self.passes > case.opened_at_pass
