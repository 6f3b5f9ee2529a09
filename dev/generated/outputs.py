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
        description="ISO 8601 in UTC; epoch milliseconds of what is out of its range.",
    ),
]
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(description="Seconds.")]
Counts = dict[str, Count]


class _Object(msgspec.Struct, forbid_unknown_fields=True):
    """Every field is there, except those that may be left out."""


class Opened(_Object):
    """A breaker that is open."""

    since: Time
    """When it opened."""

    until: Time
    """When what it holds is tried again."""

    why: str
    """What opened it."""


class TopicOpened(Opened):
    """The breaker of a topic; `held` while nothing of it is fetched."""

    held: bool
    """Whether nothing of the topic is fetched now."""


class PartitionStatus(_Object):
    """A partition that the group reads; `mine`: this worker does."""

    committed: int | None
    """Offset up to which the group is done; null: nothing was ever committed."""

    end: int | None
    """Offset that the next record will have."""

    lag: int | None
    """Records between the two."""

    deleted_in_seconds: Seconds | None
    """Time until Kafka may delete what is unread; null: nothing is unread, or nothing is deleted by
    age."""

    holder: str | None
    """Address of the member that reads it; null: nobody does."""

    worker: str | None
    """That member's name among `workers`, where it has told it."""

    mine: bool
    """Whether this worker reads it."""

    work: Work
    """How it goes: it moves; it is idle, with nothing unread; it waits for a known reason; or it is
    stuck."""

    since: Time | None
    """Since when it waits or is stuck."""

    why: str
    """Why it waits or is stuck; else empty."""


class OutcomesStatus(_Object):
    """What became of records, by step, outcome and reason; by topic, what Kafka deleted unread."""

    route: dict[str, Count | Counts]
    """By outcome: records that were read from OpenWhisk's topics; where an outcome has reasons, by
    reason."""

    store: dict[str, Count | Counts]
    """By outcome: records that were read from the internal topic."""

    lost_to_retention: Counts
    """By topic: records that Kafka deleted before they were read."""


class InFlight(_Object):
    """Documents that were read from the internal topic and are not settled."""

    documents: Count
    """How many."""

    bytes: Count
    """How large they are together."""


class Busy(_Object):
    """A namespace or an action; numbers are estimates."""

    runs: Count
    """Activations."""

    at_most_too_many: Count
    """By how many `runs` may be too high at most."""

    failures: Count
    """Those that failed."""

    mean_wait_seconds: Seconds
    """From the request to the start of the function."""

    mean_run_seconds: Seconds
    """From its start to its end."""


class ActivityStatus(_Object):
    """Those that run, fail and wait most; one document in `one_in` was read for it."""

    one_in: Count
    """Of how many documents one was read."""

    namespaces: dict[str, Busy]
    """By namespace."""

    actions: dict[str, Busy]
    """By action, `namespace/name`."""


class GuardStatus(_Object):
    """Records that the guard remembers, by partition."""

    remembered: Counts
    """By partition of the internal topic."""


class KafkaStatus(_Object):
    """What is known of Kafka."""

    address: str
    """`PERSISTER_KAFKA_URL`."""

    away_since: Time | None
    """Since when Kafka does not answer; null: it does."""

    last_error: str | None
    """What it answered last that was an error."""

    last_error_at: Time | None
    """When that was."""

    group_refuses: str | None
    """Why the consumer group does not take this worker; null: it does."""

    unreadable_topics: dict[str, str]
    """By topic: why it is left out."""


class DatabaseStatus(_Object):
    """What is known of the database."""

    address: str
    """`PERSISTER_COUCHDB_URL` and the database."""

    down: bool
    """Whether it takes nothing now."""

    failing_since: Time | None
    """Since when requests fail; null: they do not."""

    last_error: str | None
    """In CouchDB's own words."""

    last_error_at: Time | None
    """When that was."""

    requests_in_flight: Count
    """Bulk requests under way."""

    requests_limit: Count
    """How many may be, at the pace that the database has now."""

    documents_under_diagnosis: Count
    """Documents that are tried alone."""

    reading_down: bool
    """Whether documents in conflict cannot be read back."""

    documents_waiting: Count
    """Documents that are in no request yet."""

    documents_written: Count
    """Since the start."""

    conflicts_read_back: Count
    """Since the start."""

    requests: Counts
    """By outcome, since the start."""

    retries: Counts
    """By reason, since the start."""

    narrowing_requests: Count
    """Requests that were divided to find a document at fault, since the start."""

    missing_design_documents: list[str]
    """Those that OpenWhisk's readers need and the database does not have."""


class WorkerStatus(_Object):
    """A worker of the group, as it last spoke of itself."""

    own: bool
    """Whether it is the one that was asked."""

    missing: bool
    """Whether it has fallen silent."""

    heard_seconds_ago: Seconds
    """Since it last spoke."""

    ready: bool
    """What it said of itself."""

    not_ready: str | None
    """Why not; null: it is."""

    version: str
    """Of the persister."""

    started: Time
    """When it started."""

    counts: Counts
    """Records since then, by outcome."""

    per_second: dict[str, float]
    """Records a second, by outcome."""


class Told(_Object):
    """One thing that is wrong, as the status page says it."""

    level: Level
    """`mind`: the work goes on. `trouble`: something does not move, or will be lost."""

    what: str
    """It is, in one sentence."""

    why: str
    """In the words of whoever said so; empty where nothing more is known."""

    do: str
    """What to do about it."""


class SummaryStatus(_Object):
    """The first words of the status page."""

    level: Level
    """Of the worst finding."""

    headline: str
    """Whether all is well."""

    text: str
    """What is read; if something is wrong, the worst of it."""

    findings: list[Told]
    """The worst first; none: all is well."""


class Status(_Object):
    """A worker, as `GET /status` tells it."""

    version: str
    """Of the persister."""

    app_id: str
    """`PERSISTER_APP_ID`."""

    ready: bool
    """As `/health/ready` says."""

    not_ready: str | None
    """Why not; null: it is."""

    not_ready_since: Time | None
    """Since when."""

    summary: SummaryStatus
    """The first words of the status page."""

    work: Work
    """The worst of its partitions."""

    topics: dict[str, dict[str, PartitionStatus]]
    """By topic and partition: all that the group should read, of any worker."""

    lag: Count
    """Unread records of this worker's partitions."""

    outcomes: OutcomesStatus
    """What became of records, since the start."""

    in_flight: InFlight
    """What is read and not settled."""

    breaker: dict[str, TopicOpened]
    """By topic: those that are paused, since most of their records are rejected."""

    store_breaker: dict[str, Opened]
    """By reason: why storing is paused; empty when it is not."""

    activity: ActivityStatus | None
    """Who runs, fails and waits most; null: `PERSISTER_ACTIVITY` is off."""

    guard: GuardStatus
    """What is remembered, so that nothing is written twice."""

    kafka: KafkaStatus
    """What is known of Kafka."""

    database: DatabaseStatus
    """What is known of the database."""

    workers: dict[str, WorkerStatus]
    """By name: every worker of the group."""

    workers_not_heard: str | None
    """Why nothing is heard of the others; null: it is."""


class Seen(_Object):
    """A place where an activation was seen; `behind`: records before it that wait."""

    topic: str
    partition: Count
    offset: Count
    time: Time
    kind: Kind
    decided: str
    behind: Count | None


class Trace(_Object):
    """Where an activation is; `activation`: what is known of it, as its record says."""

    activation_id: str
    fate: Fate
    conclusion: str
    activation: dict[str, Any]
    logs: list[str]
    revision: str | None
    seen: list[Seen]
    not_looked_at: list[str]


class Example(_Object):
    """A record that ended badly; `fields`: what differs in its document."""

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
    """What became of the records that were to be sent again."""

    planned: Count
    sent: Count
    gone: Count
    refused: Count
    error: str | None
    dry_run: bool


class Audit(_Object):
    """Records by how they have ended (`totals`; by topic and hour in `topics`), and what is bad."""

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
    """A dead letter; in a rehearsal of a replay, `to` is where it would be sent."""

    to: str | UnsetType = UNSET


class Header(_Object):
    """A header of a record; `value_base64` where it is no UTF-8."""

    name: str
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET


class LetterContent(_LetterFields):
    """A dead letter with what is in it; `..._base64` in the place of what is no UTF-8."""

    headers: list[Header]
    key: str | UnsetType | None = UNSET
    key_base64: str | UnsetType = UNSET
    value: str | UnsetType | None = UNSET
    value_base64: str | UnsetType = UNSET


class Replayed(_Object):
    """The last line of a replay: letters that were sent, or would be, and why others stayed."""

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
