"""The result of an audit, for people and for programs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.audit.auditing import Audited
from app.audit.content import MOST_VALUES
from app.audit.findings import Example, Findings
from app.audit.repair import Repaired
from app.audit.verdicts import FAILURES, Verdict
from app.process.printable import printable
from app.process.words import counted
from models.instants import iso

_WHAT = {
    Verdict.MISSING: "documents are missing in the database",
    Verdict.DIFFERENT: "documents are not what was sent",
    Verdict.NOT_SET_ASIDE: "records can not be stored and are not among the dead letters either",
    Verdict.NEVER_ARRIVED: "activations were reported as finished, but their records are nowhere",
}


@dataclass
class Report:
    """Everything that is shown.

    Args:
        table: by topic and hour (epoch millis), how records have ended.
        counts: of different documents or activations that have ended badly.
        examples: the first ones of these.
        left_out: by reason, records that must not be stored.
        differing: by document id, the names of the top-level fields that are not as sent.
    """

    audited: Audited
    table: Mapping[str, Mapping[int, Mapping[Verdict, int]]]
    counts: Mapping[Verdict, int]
    examples: Mapping[Verdict, list[Example]]
    left_out: Mapping[str, int]
    differing: dict[str, list[str]] = field(default_factory=dict)
    repaired: Repaired | None = None

    @classmethod
    def of(cls, audited: Audited, findings: Findings, shown: int) -> "Report":
        """Ask the findings; `shown`: how many examples of each kind."""
        return cls(
            audited,
            findings.table(),
            {verdict: findings.count_documents_with(verdict) for verdict in FAILURES},
            {verdict: findings.examples(verdict, shown) for verdict in FAILURES},
            findings.left_out(),
        )

    @property
    def good(self) -> bool:
        """Whether no record is missing, different, unaccounted for, or lost."""
        return not any(self.counts.values()) and not self.audited.lost

    @property
    def records(self) -> int:
        """Records that were looked at."""
        return self.totals().total()

    def totals(self) -> Counter[Verdict]:
        """Records of all topics by how they have ended."""
        total: Counter[Verdict] = Counter()
        for hours in self.table.values():
            for counts in hours.values():
                total.update(counts)
        return total

    def as_json(self) -> dict[str, Any]:
        """For programs; times in ISO 8601."""
        shown: dict[str, Any] = {
            "ok": self.good,
            "records": self.records,
            "totals": _by_name(self.totals()),
            "failures": _by_name(self.counts),
            "topics": {
                topic: {iso(hour, "seconds"): _by_name(counts) for hour, counts in hours.items()}
                for topic, hours in self.table.items()
            },
            "examples": {
                name(verdict): [self._example(example) for example in examples]
                for verdict, examples in self.examples.items()
            },
            "left_out": dict(self.left_out),
            "acknowledgements_not_judged": self.audited.not_judged,
            "lost_to_retention": [vars(lost) for lost in self.audited.lost],
        }
        if self.repaired:
            shown["repaired"] = vars(self.repaired)
        return shown

    def _example(self, example: Example) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "document": example.document,
            "activation": example.activation,
            **example.place._asdict(),
            "time": iso(example.at),
        }
        if example.document in self.differing:
            shown["fields"] = self.differing[example.document]
        return shown

    def as_text(self) -> str:
        """For people. Ids and names of fields are what somebody's record says."""
        return "\n".join(map(printable, self._lines()))

    def _lines(self) -> Iterator[str]:
        yield from _table(self.table, self.totals())
        yield ""
        for lost in self.audited.lost:
            yield (
                f"{counted(lost.count, 'record')} of {lost.topic}/{lost.partition} deleted by "
                "Kafka's retention unread."
            )
        for verdict, count in self.counts.items():
            if count:
                yield f"{count} {_WHAT[verdict]}:"
                yield from map(self._line, self.examples[verdict])
                if count > len(self.examples[verdict]):
                    yield f"  and {count - len(self.examples[verdict])} more"
        yield from self._remarks()
        if self.good:
            checked = counted(self.records, "record was", "records were")
            yield f"Nothing is missing: {checked} checked."

    def _line(self, example: Example) -> str:
        topic, partition, offset = example.place
        what = example.document or example.activation or "(no activation id)"
        names = self.differing.get(example.document or "")
        return (
            f"  {what}  {topic}/{partition} offset {offset}  {iso(example.at)}"
            f"{'  differs in ' + ', '.join(names) if names else ''}"
        )

    def _remarks(self) -> Iterator[str]:
        totals = self.totals()
        if totals[Verdict.PENDING]:
            group = ": has it ever run with this PERSISTER_APP_ID?"
            yield (
                f"{totals[Verdict.PENDING]} records are not stored yet; the worker has not come so "
                f"far{group if self.audited.never_committed else '.'}"
            )
        if totals[Verdict.ROUNDED]:
            yield (
                f"{totals[Verdict.ROUNDED]} documents are equal but for integers over 2^53: this "
                "database keeps them as doubles."
            )
        if totals[Verdict.NOT_COMPARED]:
            yield (
                f"{totals[Verdict.NOT_COMPARED]} records have more than {MOST_VALUES} values each: "
                "their documents are there, and were not compared with them."
            )
        if self.audited.not_judged:
            yield (
                f"Of {self.audited.not_judged} acknowledgements without a record nobody can say "
                "whether it should be there: it may be on a topic or in a time that was not read, "
                "or left out by a store level or an excluded namespace."
            )
        if self.repaired:
            yield _repaired(self.repaired)


def _repaired(repaired: Repaired) -> str:
    if repaired.dry_run:
        return f"Would send {counted(repaired.planned, 'record')} again."
    more = ""
    if repaired.gone:
        more += f" {repaired.gone} have been deleted by Kafka meanwhile."
    if repaired.refused:
        more += f" {repaired.refused} were not taken by Kafka: {repaired.error}."
    return (
        f"Sent {counted(repaired.sent, 'record')} again.{more} Run the audit once more when the "
        "worker has stored them."
    )


def _table(
    table: Mapping[str, Mapping[int, Mapping[Verdict, int]]], totals: Mapping[Verdict, int]
) -> Iterator[str]:
    """Topics and hours down, what was found of them across."""
    verdicts = [verdict for verdict in Verdict if totals.get(verdict)]
    rows = [["topic", "hour (UTC)", "records", *verdicts]]
    for topic, hours in table.items():
        for hour, counts in hours.items():
            rows.append([topic, iso(hour, "seconds")[:13], *_numbers(counts, verdicts)])
    rows.append(["total", "", *_numbers(totals, verdicts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join(words + numbers).rstrip()


def _numbers(counts: Mapping[Verdict, int], verdicts: Iterable[Verdict]) -> list[str]:
    return [str(sum(counts.values())), *(str(counts.get(verdict, 0)) for verdict in verdicts)]


def _by_name(counts: Mapping[Verdict, int]) -> dict[str, int]:
    return {name(verdict): counts[verdict] for verdict in Verdict if verdict in counts}


def name(verdict: Verdict) -> str:
    """As it is called in JSON."""
    return verdict.value.replace(" ", "_")
