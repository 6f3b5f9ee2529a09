"""The expected result of traffic: which documents exist, and the outcome of every record."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from app.monitoring.outcomes import Key, Outcome, Outcomes, Step
from app.settings import LogMode
from dev.traffic.events import Activity, Again, Ended, Event, Junk, Ran
from dev.traffic.setup import Setup
from models.activation import Activation
from models.documents import ENTITY_TYPE
from models.reasons import RejectReason, SkipReason
from models.roles import TopicRole
from openwhisk.store import InvokerRecords, left_out_as

_ADDED = ("_id", "_rev", "updated")
_DESIGN = "_design/"


class Arrival(NamedTuple):
    """A message as the persister reads it."""

    role: TopicRole
    holds: Activation | SkipReason
    """The record in it, or why there is none."""


@dataclass
class Differences:
    """How a database differs from the ledger; all empty if it matches.

    Attributes:
        missing: ids of documents that should exist.
        unexpected: ids of documents that should not.
        different: ids of documents with other contents.
    """

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.different)


class Ledger:
    """Derives the expected documents and outcomes for one setup.

    It knows the rules by which OpenWhisk sends and the persister decides, and looks at no message:
    so it finds a wrong message as well as a wrong document.

    Attributes:
        outcomes: what the persister must have counted, provided that nothing was sent or delivered
            twice and nothing was dropped from the guard in between.
        doubtful: ids of records that Kafka may or may not have.
    """

    def __init__(self, setup: Setup) -> None:
        self.outcomes = Outcomes()
        self.doubtful: set[str] = set()
        self._setup = setup
        self._records: dict[str, bytes] = {}

    def __len__(self) -> int:
        """The number of documents that must exist."""
        return len(self._records)

    def __contains__(self, document_id: object) -> bool:
        return document_id in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def document(self, document_id: str) -> dict[str, Any]:
        """A document that must exist, without `updated`; raises `KeyError`."""
        record: dict[str, Any] = msgspec.json.decode(self._records[document_id])
        return {"_id": document_id, "entityType": ENTITY_TYPE, **record}

    def documents(self) -> dict[str, dict[str, Any]]:
        """All of them, by id."""
        return {document_id: self.document(document_id) for document_id in self._records}

    def add(self, event: Event) -> None:
        """Add an event whose messages Kafka has acknowledged."""
        match event:
            case Junk(_, _, reason):
                self._no_record(reason)
            case Again(activity, _):
                self._arrived(activity)
            case _:
                self._arrived(event)

    def doubt(self, event: Event) -> None:
        """Add an event with a message that Kafka has not acknowledged."""
        activity = event.activity if isinstance(event, Again) else event
        if not isinstance(activity, Junk):
            self.doubtful.add(activity.activation.document_id)

    def differences(self, documents: Iterable[Mapping[str, Any]]) -> Differences:
        """Compare with a database's documents, as `_all_docs?include_docs=true` gives them.

        Their `_rev` and `updated` are not looked at, nor are design documents.
        """
        found = Differences()
        seen: set[str] = set()
        for document in documents:
            document_id: str = document["_id"]
            seen.add(document_id)
            if document_id.startswith(_DESIGN) or document_id in self.doubtful:
                continue
            if document_id not in self._records:
                found.unexpected.append(document_id)
            elif _contents(document) != _contents(self.document(document_id)):
                found.different.append(document_id)
        found.missing = [
            wanted for wanted in self._records if wanted not in seen and wanted not in self.doubtful
        ]
        return found

    def _arrived(self, activity: Activity) -> None:
        for role, holds in arrivals(activity, self._setup):
            if isinstance(holds, SkipReason):
                self._no_record(holds)
            elif reason := left_out_as(role, activity.transid, holds, self._setup.rules):
                self._no_record(reason)
            else:
                self._count(Step.ROUTE, Outcome.ROUTED)
                self._routed(holds)

    def _routed(self, activation: Activation) -> None:
        record = msgspec.json.encode(activation.to_wire())
        first = self._records.setdefault(activation.document_id, record)
        if first is record:
            self._count(Step.STORE, Outcome.STORED)
        elif first == record:
            self._count(Step.STORE, Outcome.DUPLICATE)
        else:
            self._count(Step.STORE, Outcome.DEAD_LETTERED, RejectReason.DIVERGENT)

    def _no_record(self, reason: SkipReason | RejectReason) -> None:
        skipped = isinstance(reason, SkipReason)
        self._count(Step.ROUTE, Outcome.SKIPPED if skipped else Outcome.DEAD_LETTERED, reason)

    def _count(
        self, step: Step, outcome: Outcome, reason: SkipReason | RejectReason | str = ""
    ) -> None:
        self.outcomes.counts[Key(step, outcome, reason)] += 1
        self.outcomes.consumed[step] += 1


def arrivals(activity: Activity, setup: Setup) -> Iterator[Arrival]:
    """The messages of an event that the persister reads, by OpenWhisk's rules."""
    activation, blocking = activity.activation, activity.blocking
    level = TopicRole.COMPLETED if blocking else TopicRole.OTHERS
    stored = left_out_as(level, activity.transid, activation, setup.rules) is None
    if setup.log_mode is LogMode.IN_RECORD:
        if stored:
            logged = activation.derive(logs=activity.logs) if isinstance(activity, Ran) else None
            yield Arrival(TopicRole.ACTIVATIONS, logged or activation)
        return
    carried = False
    if not isinstance(activity, Ended):
        carried = blocking and not (isinstance(activity, Ran) and activity.oversized)
        completion = isinstance(activity, Ran) and not blocking
        nothing = SkipReason.ACKNOWLEDGEMENT if completion else SkipReason.NO_RECORD
        yield Arrival(TopicRole.COMPLETED, activation if carried else nothing)
    if stored and not (carried and setup.invoker_records is InvokerRecords.UNCARRIED):
        yield Arrival(TopicRole.OTHERS, activation)


def _contents(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _ADDED}
