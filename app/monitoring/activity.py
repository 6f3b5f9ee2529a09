"""Finds which namespaces and actions run, fail and wait most, from the documents being stored.

Only one document in `EVERY` is read for this, so it costs a fraction of a microsecond per record;
the counts are estimates, and shown as such. The namespaces in `PERSISTER_METRICS_NAMESPACES` are
counted exactly, for `/metrics`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from heapq import nlargest
from random import random
from typing import Any, Protocol

import msgspec

from app.monitoring.heavy import HeavyHitters
from app.monitoring.histogram import Histogram

EVERY = 16
"""One document in this many is read."""

ROWS = 200
"""How many namespaces, and how many actions, are shown; twice as many are kept."""

SHOWN = 50
"""How many are shown in `/status` of those that run most, that fail most, and that wait most."""

LONGEST = 256
"""Most characters of a name to keep, because anybody may write a record."""

LONGEST_ANNOTATIONS = 64 * 1024
"""Most bytes of annotations to read: millions of empty ones take twenty times their size."""

MOST_MILLIS = 86_400_000
"""The longest duration to count for one record, because anybody may write one."""

ACTIONS = 200
"""How many actions of a chosen namespace are counted separately: whoever may write records can
invent names.
"""

OTHERS = "(others)"

STATUSES = ("success", "application error", "developer error", "internal error")
"""Names of OpenWhisk's status codes, which are the indexes."""

SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0)


class Stored(Protocol):
    """A document that has just been stored."""

    @property
    def id(self) -> str:
        """`<namespace>/<activation id>`."""

    @property
    def body(self) -> bytes:
        """The encoded document."""


class _Annotation(msgspec.Struct, gc=False):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw()


class _Response(msgspec.Struct, gc=False):
    statusCode: int = 0  # noqa: N815 - OpenWhisk's name


class _Read(msgspec.Struct, gc=False):
    """The fields of an activation that are read."""

    namespace: str = ""
    name: str = ""
    start: int = 0
    end: int = 0
    response: _Response = msgspec.field(default_factory=_Response)
    annotations: msgspec.Raw = msgspec.Raw(b"[]")


_decode = msgspec.json.Decoder(_Read).decode
_annotations = msgspec.json.Decoder(list[_Annotation]).decode
_text = msgspec.json.Decoder(str).decode
_number = msgspec.json.Decoder(float).decode


@dataclass
class Runs:
    """Counts of a namespace or an action, from the documents that were read."""

    runs: int = 0
    unsure: int = 0
    failures: int = 0
    waited: float = 0.0
    """Seconds of all runs together."""

    ran: float = 0.0

    def add(self, activation: "_Activation") -> None:
        """Count an activation."""
        self.runs += 1
        self.failures += activation.status != 0
        self.waited += activation.waited
        self.ran += activation.ran

    def estimate(self, name: str) -> "Estimate":
        """An estimate for all runs."""
        seen = max(1, self.runs - self.unsure)
        return Estimate(
            name=name,
            runs=self.runs * EVERY,
            at_most_too_many=self.unsure * EVERY,
            failures=self.failures * EVERY,
            mean_wait_seconds=round(self.waited / seen, 3),
            mean_run_seconds=round(self.ran / seen, 3),
        )


@dataclass(frozen=True)
class Estimate:
    """Estimates for a namespace or an action, as `/status` and the page show them.

    Args:
        name: the namespace's name, or the action's `<namespace>/<name>`.
        runs: how often it ran.
        at_most_too_many: by how much `runs` may be too high.
        failures: how often it ended in an error.
        mean_wait_seconds: mean seconds from the request to the start.
        mean_run_seconds: mean seconds from the start to the end.
    """

    name: str
    runs: int
    at_most_too_many: int
    failures: int
    mean_wait_seconds: float
    mean_run_seconds: float


@dataclass(slots=True)
class _Activation:
    namespace: str
    action: str
    status: int
    waited: float
    ran: float
    init: float | None
    """Seconds of a cold start; None if it was not one."""


class Activity:
    """Namespaces and actions that run, fail or wait most."""

    def __init__(self) -> None:
        self.namespaces = HeavyHitters(Runs, ROWS)
        self.actions = HeavyHitters(Runs, ROWS)
        self._next = 0

    def observe(self, documents: Sequence[Stored]) -> None:
        """Read some of these documents."""
        index = self._next
        while index < len(documents):
            activation = _read(documents[index].body)
            if activation is not None:
                self.namespaces.of(activation.namespace).add(activation)
                self.actions.of(activation.action).add(activation)
            # Random steps of `EVERY` on average, so that it does not keep step with recurring
            # patterns.
            index += 1 + int(random() * (2 * EVERY - 1))  # noqa: S311 - nobody has to guess it
        self._next = index - len(documents)

    def as_json(self) -> dict[str, Any]:
        """For `/status`."""
        kinds = (("namespaces", self.namespaces), ("actions", self.actions))
        told: dict[str, Any] = {"one_in": EVERY}
        for kind, found in kinds:
            rows = map(asdict, first(found, SHOWN))
            told[kind] = {row.pop("name"): row for row in rows}
        return told


def first(found: HeavyHitters[Runs], most: int) -> list[Estimate]:
    """Those that run, fail or wait most, `most` of each kind, ordered by how often they ran."""
    rows = found.items()
    names = {name for name, _ in rows[:most]}
    for count in (_failures, _waited):
        names |= {
            name
            for name, row in nlargest(most, rows, key=lambda item: count(item[1]))
            if count(row)
        }
    return [row.estimate(name) for name, row in rows if name in names]


def _failures(row: Runs) -> float:
    return row.failures


def _waited(row: Runs) -> float:
    return row.waited


class Watched:
    """What is learnt from the documents that a worker stores.

    Args:
        activity: whether to track the most active namespaces and actions.
        namespaces: those to count exactly.
    """

    def __init__(self, *, activity: bool, namespaces: Iterable[str]) -> None:
        self.activity = Activity() if activity else None
        self.chosen = Chosen(namespaces)

    def stored(self, documents: Sequence[Stored]) -> None:
        """Read documents that have just been stored; each document is passed once."""
        if self.activity is not None:
            self.activity.observe(documents)
        self.chosen.observe(documents)


class Chosen:
    """Counts and durations of chosen namespaces, like those of OpenWhisk's user-events service.

    Args:
        namespaces: the chosen ones.
    """

    def __init__(self, namespaces: Iterable[str]) -> None:
        self.activations: dict[str, Counter[str]] = {
            name: Counter(dict.fromkeys(STATUSES, 0)) for name in sorted(namespaces)
        }
        self.actions: dict[str, Counter[str]] = {
            name: Counter({OTHERS: 0}) for name in self.activations
        }
        """By namespace, the activations of each action, and of all beyond `ACTIONS` together."""
        self.cold_starts = dict.fromkeys(self.activations, 0)
        self.inits = {name: Histogram(SECONDS) for name in self.activations}
        """Durations of cold starts."""
        self.waits = {name: Histogram(SECONDS) for name in self.activations}
        self.durations = {name: Histogram(SECONDS) for name in self.activations}

    def observe(self, documents: Iterable[Stored]) -> None:
        """Count the documents of chosen namespaces."""
        if not self.activations:
            return
        for document in documents:
            name = document.id.partition("/")[0]
            if name in self.activations:
                activation = _read(document.body)
                if activation is not None:
                    self.activations[name][_status(activation.status)] += 1
                    actions = self.actions[name]
                    known = activation.action in actions or len(actions) <= ACTIONS
                    actions[activation.action if known else OTHERS] += 1
                    if activation.init is not None:
                        self.cold_starts[name] += 1
                        self.inits[name].observe(activation.init)
                    self.waits[name].observe(activation.waited)
                    self.durations[name].observe(activation.ran)


def _status(code: int) -> str:
    return STATUSES[code] if 0 <= code < len(STATUSES) else STATUSES[-1]


def _seconds(millis: float) -> float:
    return max(0, min(millis, MOST_MILLIS)) / 1000


_WANTED = ("path", "waitTime", "initTime")


def _read(body: bytes) -> _Activation | None:
    """What is counted of a document; None if it does not look like an activation."""
    try:
        read = _decode(body)
        small = len(read.annotations) <= LONGEST_ANNOTATIONS
        annotations = _annotations(read.annotations) if small else []
    except (ValueError, RecursionError):
        return None
    path, waited, init = f"{read.namespace}/{read.name}", 0.0, None
    for one in annotations:
        if one.key in _WANTED:
            with suppress(ValueError):
                if one.key == "path":
                    path = _text(one.value)
                elif one.key == "waitTime":
                    waited = _seconds(_number(one.value))
                else:
                    init = _seconds(_number(one.value))
    ran = _seconds(read.end - read.start) if read.end else 0.0
    status = read.response.statusCode
    return _Activation(read.namespace[:LONGEST], path[:LONGEST], status, waited, ran, init)
