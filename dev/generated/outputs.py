"""What each command writes with `--json`: one set of types for all of them.

`docs/commands.schema.json` is made from it, and the tests hold every output that they see against
it: a field that is not here is an error, and so is one that is missing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.doctor import Finding
from app.expiry.removal import Method
from app.monitoring.page.trouble import Level
from app.monitoring.progress import State as Work
from app.monitoring.trace.account import Fate
from app.monitoring.trace.sighting import Kind
from app.settings.listing import Row
from models.reasons import RejectReason

Time = Annotated[
    str,
    Meta(
        pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z|-?\d+ ms)$",
        description="ISO 8601 in UTC; epoch milliseconds for times outside its range.",
    ),
]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(description="Seconds.")]
Counts = dict[str, Count]


class _Object(msgspec.Struct, forbid_unknown_fields=True):
    """Every field is there, except those that may be left out."""


class Opened(_Object):
    """An open breaker."""

    since: Time
    """When it opened."""

    until: Time
    """When a retry is due."""

    why: str
    """Why it opened."""


class TopicOpened(Opened):
    """The open breaker of a topic."""

    held: bool
    """Whether the topic is not being fetched at the moment."""


class PartitionStatus(_Object):
    """A partition that the group reads."""

    committed: int | None
    """Committed offset of the group; null: nothing was committed yet."""

    end: int | None
    """Offset of the next record to be produced."""

    lag: int | None
    """Records between the two."""

    deleted_in_seconds: Seconds | None
    """Time until Kafka may delete unread records; null: nothing is unread, or Kafka deletes nothing
    by age."""

    holder: str | None
    """Network address of the group member that reads it; null: none does."""

    worker: str | None
    """Name of that member among `workers`, if it has announced one."""

    mine: bool
    """Whether this worker reads it."""

    work: Work
    """`moving`: commits advance. `idle`: nothing is unread. `waiting`: for a known reason.
    `stuck`: for none."""

    since: Time | None
    """When it began to wait or got stuck."""

    why: str
    """Why it waits or is stuck; otherwise empty."""


class OutcomesStatus(_Object):
    """What became of the records since the worker started."""

    route: dict[str, Count | Counts]
    """Records read from OpenWhisk's topics, by outcome and, where it has reasons, by reason."""

    store: dict[str, Count | Counts]
    """Records read from the internal topic, by outcome."""

    lost_to_retention: Counts
    """Records that Kafka deleted before they were read, by topic."""


class InFlight(_Object):
    """Documents read from the internal topic that are not settled yet."""

    documents: Count
    """Number of documents."""

    bytes: Count
    """Their total size."""


class Busy(_Object):
    """A namespace or an action; all numbers are estimates."""

    runs: Count
    """Activations."""

    at_most_too_many: Count
    """How much too high `runs` may be at most."""

    failures: Count
    """Failed activations."""

    mean_wait_seconds: Seconds
    """Mean time from the request until the action starts."""

    mean_run_seconds: Seconds
    """Mean time from the start of the action to its end."""


class ActivityStatus(_Object):
    """The namespaces and actions that run, fail and wait most, from a sample of the documents."""

    one_in: Count
    """Sampling interval: one document of this many was examined."""

    namespaces: dict[str, Busy]
    """By namespace."""

    actions: dict[str, Busy]
    """By action, as `namespace/name`."""


class GuardStatus(_Object):
    """What the guard remembers, so that nothing is written twice."""

    remembered: Counts
    """Records, by partition of the internal topic."""

    not_written: str | None
    """Why Kafka does not take what the guard remembers, which a restart then forgets; null: it
    does."""


class KafkaStatus(_Object):
    """What the worker knows about Kafka."""

    address: str
    """`PERSISTER_KAFKA_URL`."""

    away_since: Time | None
    """Since when Kafka has not answered; null: it answers."""

    last_error: str | None
    """The last error from Kafka."""

    last_error_at: Time | None
    """When it occurred."""

    group_refuses: str | None
    """Why the consumer group refuses this worker; null: it does not."""

    unreadable_topics: dict[str, str]
    """Topics that cannot be read and are skipped, with the reason."""


class DatabaseStatus(_Object):
    """What the worker knows about the database."""

    address: str
    """`PERSISTER_COUCHDB_URL` with the name of the database."""

    down: bool
    """Whether the database currently accepts no documents."""

    failing_since: Time | None
    """Since when requests have failed; null: they succeed."""

    last_error: str | None
    """The last error, in CouchDB's own words."""

    last_error_at: Time | None
    """When it occurred."""

    requests_in_flight: Count
    """Bulk requests in flight."""

    requests_limit: Count
    """Maximum bulk requests in flight at the database's present pace."""

    documents_under_diagnosis: Count
    """Documents that failed and are being retried one by one."""

    reading_down: bool
    """Whether conflicting documents cannot be read back."""

    documents_waiting: Count
    """Documents that are not in a request yet."""

    documents_written: Count
    """Documents written since the start."""

    conflicts_read_back: Count
    """Conflicting documents read back and compared since the start."""

    requests: Counts
    """Requests since the start, by outcome."""

    retries: Counts
    """Retries since the start, by reason."""

    narrowing_requests: Count
    """Requests since the start that were split to find the document at fault."""

    missing_design_documents: list[str]
    """Design documents that OpenWhisk's readers need and the database lacks."""


class WorkerStatus(_Object):
    """A worker of the group, by its last report."""

    own: bool
    """Whether it is the worker that answers this request."""

    missing: bool
    """Whether it has fallen silent."""

    heard_seconds_ago: Seconds
    """Time since its last report."""

    ready: bool
    """Whether it reported to be ready."""

    not_ready: str | None
    """Why it is not ready; null: it is."""

    version: str
    """Version of the persister."""

    started: Time
    """When it started."""

    counts: Counts
    """Records since it started, by outcome."""

    per_second: dict[str, float]
    """Records per second, by outcome."""


class Told(_Object):
    """A problem, as the status page describes it."""

    level: Level
    """`mind`: the work continues. `trouble`: something is stuck, or records will be lost."""

    what: str
    """What is wrong, in one sentence."""

    why: str
    """The cause, as Kafka, CouchDB or the worker reported it; empty if unknown."""

    do: str
    """What to do about it."""


class SummaryStatus(_Object):
    """What the status page says first."""

    level: Level
    """Level of the worst finding."""

    headline: str
    """Whether all is well."""

    text: str
    """What is being read or, if something is wrong, the worst finding."""

    findings: list[Told]
    """All findings, the worst first; empty: all is well."""


class Status(_Object):
    """A worker, as `GET /status` describes it."""

    version: str
    """Version of the persister."""

    app_id: str
    """`PERSISTER_APP_ID`."""

    ready: bool
    """The verdict of `/health/ready`."""

    not_ready: str | None
    """Why it is not ready; null: it is."""

    not_ready_since: Time | None
    """Since when it has not been ready."""

    summary: SummaryStatus
    """What the status page says first."""

    work: Work
    """The worst state of its partitions."""

    topics: dict[str, dict[str, PartitionStatus]]
    """By topic and partition: everything that the group should read, whichever worker reads it."""

    lag: Count
    """Unread records in this worker's partitions."""

    outcomes: OutcomesStatus
    """What became of the records since the start."""

    in_flight: InFlight
    """Documents read from the internal topic that are not settled yet."""

    breaker: dict[str, TopicOpened]
    """By topic: topics that are paused because most of their records are rejected."""

    store_breaker: dict[str, Opened]
    """By reason: why storing is paused; empty: it is not."""

    activity: ActivityStatus | None
    """Who runs, fails and waits most; null: `PERSISTER_ACTIVITY` is off."""

    guard: GuardStatus
    """What the guard remembers, so that nothing is written twice."""

    kafka: KafkaStatus
    """What the worker knows about Kafka."""

    database: DatabaseStatus
    """What the worker knows about the database."""

    workers: dict[str, WorkerStatus]
    """Every worker of the group, by name."""

    workers_not_heard: str | None
    """Why this worker hears nothing from the others; null: it does."""


class Seen(_Object):
    """A place where an activation was seen; `behind`: records waiting in front of it."""

    topic: str
    partition: Count
    offset: Count
    time: Time
    kind: Kind
    decided: str
    behind: Count | None


class Trace(_Object):
    """Where an activation is; `activation`: what its record says about it."""

    activation_id: str
    fate: Fate
    conclusion: str
    activation: dict[str, Any]
    logs: list[str]
    revision: str | None
    seen: list[Seen]
    not_looked_at: list[str]


class Example(_Object):
    """A record with a problem; `fields`: the fields that differ in its document."""

    document: str | None
    activation: str | None
    topic: str
    partition: Count
    offset: Count
    time: Time
    fields: list[str] | UnsetType = UNSET


class Lost(_Object):
    """Records that Kafka deleted unread."""

    topic: str
    partition: Count
    count: Count


class Repaired(_Object):
    """What became of the records to be sent again."""

    planned: Count
    sent: Count
    gone: Count
    refused: Count
    error: str | None
    dry_run: bool


class Audit(_Object):
    """Records by outcome (`totals`; by topic and hour in `topics`), and the problems found."""

    ok: bool
    records: Count
    totals: Counts
    failures: Counts
    topics: dict[str, dict[Time, Counts]]
    examples: dict[str, list[Example]]
    left_out: Counts
    acknowledgements_not_judged: Count
    lost_to_retention: list[Lost]
    repaired: Repaired | UnsetType = UNSET


class _LetterFields(_Object):
    letter: str
    set_aside: Time
    reason: RejectReason
    detail: str
    topic: str
    partition: Count
    offset: int
    timestamp: Time
    activation_id: str | None
    attempts: Count
    replayed: bool
    bytes: Count


class Letter(_LetterFields):
    """A dead letter; in a dry run of a replay, `to` is where it would be sent."""

    to: str | UnsetType = UNSET


class Header(_Object):
    """A header of a record; `value_base64` if it is not UTF-8."""

    name: str
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET


class LetterContent(_LetterFields):
    """A dead letter with its content; fields that are not UTF-8 are in `..._base64` instead."""

    headers: list[Header]
    key: str | UnsetType | None = UNSET
    key_base64: str | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET


class Replayed(_Object):
    """The last line of a replay: letters that were or would be sent, and why others were not."""

    stayed: Counts
    replayed: Count | UnsetType = UNSET
    would_replay: Count | UnsetType = UNSET


class Retention(_Object):
    """What was removed from the database."""

    before: Time
    found: Count
    oldest: Time | None
    method: Method | None
    removed: Count
    changed: Count
    dry_run: bool


class Output(NamedTuple):
    """What a command writes.

    Args:
        types: of which every document is one.
        lines: whether there is a document on each line, instead of a single one.
    """

    types: tuple[Any, ...]
    lines: bool = False


OUTPUTS: Mapping[str, Output] = {
    "audit": Output((Audit,)),
    "config": Output((list[Row],)),
    "dead-letters list": Output((Letter,), lines=True),
    "dead-letters show": Output((LetterContent,)),
    "dead-letters replay": Output((Letter, Replayed), lines=True),
    "doctor": Output((list[Finding],)),
    "retention": Output((Retention,)),
    "setup": Output((list[Finding],)),
    "status": Output((Status,)),
    "trace": Output((Trace,)),
}
"""By command, all that take `--json`."""


def check(command: str, output: str) -> None:
    """Hold an output against the schema.

    Raises:
        msgspec.ValidationError: it is another one.
        msgspec.DecodeError: it is no JSON.
    """
    expected = OUTPUTS[command]
    for text in output.splitlines() if expected.lines else [output]:
        document = msgspec.json.decode(text)
        *others, last = expected.types
        for kind in others:
            try:
                msgspec.convert(document, kind)
                break
            except msgspec.ValidationError:
                continue
        else:
            msgspec.convert(document, last)
