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
    until: Time
    why: str


class TopicOpened(Opened):
    """The breaker of a topic; `held` while nothing of it is fetched."""

    held: bool


class PartitionStatus(_Object):
    """A partition that the group reads; `mine`: this worker does."""

    committed: int | None
    end: int | None
    lag: int | None
    deleted_in_seconds: Seconds | None
    holder: str | None
    worker: str | None
    mine: bool
    work: Work
    since: Time | None
    why: str


class OutcomesStatus(_Object):
    """What became of records, by step, outcome and reason; by topic, what Kafka deleted unread."""

    route: dict[str, Count | Counts]
    store: dict[str, Count | Counts]
    lost_to_retention: Counts


class InFlight(_Object):
    """Documents that were read from the internal topic and are not settled."""

    documents: Count
    bytes: Count


class Busy(_Object):
    """A namespace or an action; numbers are estimates."""

    runs: Count
    at_most_too_many: Count
    failures: Count
    mean_wait_seconds: Seconds
    mean_run_seconds: Seconds


class ActivityStatus(_Object):
    """Those that run, fail and wait most; one document in `one_in` was read for it."""

    one_in: Count
    namespaces: dict[str, Busy]
    actions: dict[str, Busy]


class GuardStatus(_Object):
    """Records that the guard remembers, by partition."""

    remembered: Counts


class KafkaStatus(_Object):
    """What is known of Kafka."""

    address: str
    away_since: Time | None
    last_error: str | None
    last_error_at: Time | None
    group_refuses: str | None
    unreadable_topics: dict[str, str]


class DatabaseStatus(_Object):
    """What is known of the database."""

    address: str
    down: bool
    failing_since: Time | None
    last_error: str | None
    last_error_at: Time | None
    requests_in_flight: Count
    requests_limit: Count
    documents_under_diagnosis: Count
    reading_down: bool
    documents_waiting: Count
    documents_written: Count
    conflicts_read_back: Count
    requests: Counts
    retries: Counts
    narrowing_requests: Count
    missing_design_documents: list[str]


class WorkerStatus(_Object):
    """A worker of the group, as it last spoke of itself."""

    own: bool
    missing: bool
    heard_seconds_ago: Seconds
    ready: bool
    not_ready: str | None
    version: str
    started: Time
    counts: Counts
    per_second: dict[str, float]


class Status(_Object):
    """A worker, as `GET /status` tells it."""

    version: str
    app_id: str
    ready: bool
    not_ready: str | None
    not_ready_since: Time | None
    work: Work
    topics: dict[str, dict[str, PartitionStatus]]
    lag: Count
    outcomes: OutcomesStatus
    in_flight: InFlight
    breaker: dict[str, TopicOpened]
    store_breaker: dict[str, Opened]
    activity: ActivityStatus | None
    guard: GuardStatus
    kafka: KafkaStatus
    database: DatabaseStatus
    workers: dict[str, WorkerStatus]
    workers_not_heard: str | None


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
