"""All sightings of an activation, and the conclusion from them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from app.monitoring.trace.fields import fields_of
from app.monitoring.trace.sighting import Kind, Sighting
from app.process.printable import printable, shown
from app.process.words import counted
from models.instants import iso
from models.logs import LogLine


class Fate(StrEnum):
    """Where an activation is."""

    STORED = "stored"
    WAITING = "waiting"
    SET_ASIDE = "set aside"
    LEFT_OUT = "left out"
    REPORTED = "reported"
    MISSING = "missing"
    UNSEEN = "unseen"
    UNKNOWN = "unknown"


_CONCLUSIONS = {
    Fate.SET_ASIDE: "It was set aside: see `persister dead-letters`.",
    Fate.LEFT_OUT: "It is not stored, by a store level or an excluded namespace.",
    Fate.REPORTED: "OpenWhisk reported it as finished, but its record is on no topic: it was lost "
    "on OpenWhisk's side, or is still on its way.",
    Fate.MISSING: "The worker has finished its record, and it is neither in the database nor set "
    "aside: it was deleted since, or lost. `persister audit --repair` sends it again.",
    Fate.UNKNOWN: "It is not known where it is: not every place could be looked at, see below.",
    Fate.UNSEEN: "Neither Kafka nor the database holds anything of it: it never came, or was "
    "deleted from both since.",
}


MOST = 100
"""Most sightings to keep; a usual record has three or four."""

_MORE = f"more than the first {MOST} records of it in Kafka"

AGAIN = b"{}"
"""Stands for any document after the first."""


@dataclass
class Account:
    """The answer to "where is my activation?".

    Args:
        activation_id: 32 hex digits.
        sightings: where it was seen in Kafka, in the order of their times.
        stored: the document in the database.
        not_looked_at: places that could not be searched, or not in time, and why.
    """

    activation_id: str
    sightings: list[Sighting] = field(default_factory=list)
    stored: dict[str, Any] | None = None
    not_looked_at: list[str] = field(default_factory=list)

    def add(self, seen: Sighting) -> None:
        """Add a sighting; keeps only the first document, because anybody may write a million."""
        if len(self.sightings) >= MOST:
            if _MORE not in self.not_looked_at:
                self.not_looked_at.append(_MORE)
            return
        if seen.document is not None and any(one.document for one in self.sightings):
            seen = replace(seen, document=AGAIN)
        self.sightings.append(seen)

    @property
    def fate(self) -> Fate:
        """Where it is, as far as is known."""
        kinds = {sighting.kind for sighting in self.sightings}
        waits = any(one.waits for one in self.sightings if one.kind is not Kind.ACKNOWLEDGEMENT)
        left_out = any(one.kind is Kind.RECORD and not one.document for one in self.sightings)
        known = (
            (Fate.STORED, self.stored is not None),
            (Fate.WAITING, waits),
            (Fate.SET_ASIDE, Kind.LETTER in kinds),
            (Fate.LEFT_OUT, left_out),
            (Fate.UNKNOWN, bool(self.not_looked_at)),
            (Fate.MISSING, bool(kinds - {Kind.ACKNOWLEDGEMENT})),
            (Fate.REPORTED, bool(kinds)),
        )
        return next((fate for fate, holds in known if holds), Fate.UNSEEN)

    @property
    def conclusion(self) -> str:
        """The fate in one sentence."""
        fate = self.fate
        if fate is Fate.STORED:
            return f"It is in the database, revision {(self.stored or {}).get('_rev', '?')}."
        if fate is Fate.WAITING:
            waiting = next(one for one in self.sightings if one.waits)
            return f"It waits in {waiting.place}, behind {counted(waiting.behind or 0, 'record')}."
        if fate is Fate.UNKNOWN and not self.sightings:
            return "Nothing was found of it, but not every place could be looked at: see below."
        return _CONCLUSIONS[fate]

    def facts(self) -> dict[str, Any]:
        """Facts about the activation itself: who, which action, when, and how it ended."""
        record = self._record()
        status = record.get("response")
        kept = ("namespace", "name", "subject", "start", "end", "duration", "version", "cause")
        found = {name: record[name] for name in kept if name in record}
        if isinstance(status, dict) and "statusCode" in status:
            found["status"] = status["statusCode"]
        for name in ("start", "end"):
            if isinstance(found.get(name), int):
                found[name] = iso(found[name])
        return found

    def logs(self) -> list[str]:
        """Its log lines."""
        lines = self._record().get("logs", [])
        return [str(line) for line in lines] if isinstance(lines, list) else []

    def _record(self) -> dict[str, Any]:
        if self.stored is not None:
            return self.stored
        for sighting in self.sightings:
            if sighting.document not in (None, AGAIN):
                return fields_of(sighting.document or b"")
        return {}

    def as_json(self) -> dict[str, Any]:
        """The account for programs, with times in ISO 8601."""
        return {
            "activation_id": self.activation_id,
            "fate": self.fate.value,
            "conclusion": self.conclusion,
            "activation": self.facts(),
            "logs": self.logs(),
            "revision": (self.stored or {}).get("_rev"),
            "seen": [
                {
                    "topic": one.place.topic,
                    "partition": one.place.partition,
                    "offset": one.place.offset,
                    "time": iso(one.place.at),
                    "kind": one.kind.value,
                    "decided": one.decided,
                    "behind": one.behind,
                }
                for one in self.sightings
            ],
            "not_looked_at": self.not_looked_at,
        }

    def as_text(self) -> str:
        """The account for people, with the conclusion first."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.conclusion
        facts = self.facts()
        if facts:
            yield ""
            yield from (
                f"{name + ':':<11}{shown(value)}{_UNITS.get(name, '')}"
                for name, value in facts.items()
            )
        if self.sightings:
            yield ""
        for one in self.sightings:
            wait = f", {counted(one.behind or 0, 'record')} before it" if one.waits else ""
            decided = f"{printable(one.decided)}{wait}"
            yield f"{iso(one.place.at)}  {one.kind} in {one.place}: {decided}"
        if self.stored is not None:
            yield f"{' ' * 26}document {shown(self.stored.get('_id'))} in the database"
        lines = self.logs()
        if lines:
            yield ""
            # For a sequence, these are the activation ids of its components.
            yield "logs:"
            yield from map(_log_line, lines)
        if self.not_looked_at:
            yield ""
            yield from (f"not looked at: {one}" for one in self.not_looked_at)


_UNITS = {"duration": " ms"}
"""Units of facts that are numbers, for people; programs get the bare numbers."""


def _log_line(line: str) -> str:
    parsed = LogLine.parse(line)
    if parsed is None:
        return shown(line)
    return (
        f"{parsed.moment.isoformat(timespec='milliseconds')} {parsed.stream}: {shown(parsed.text)}"
    )
