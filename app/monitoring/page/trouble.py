"""What is wrong, in words, and what to do about it. Pure.

The judge's verdict on the worker (`app.monitoring.progress`) is put into words here, along with
everything else that deserves a look: each finding says what is wrong, why, and what to do.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from app.kafka.topics import after_loss, is_own
from app.monitoring.group.roster import Heard
from app.monitoring.page.wording import duration, moment, number, plural
from app.monitoring.progress import NOT_YET, STORES_NOTHING, State
from app.process.words import listed

URGENT_SECONDS = 600.0
"""Seconds until Kafka may delete unread records, below which it is trouble whatever the share."""

BEHIND_SECONDS = 60.0
"""Age of the oldest unfinished record from which on the group counts as behind."""


class Level(StrEnum):
    """How bad something is."""

    WELL = "well"
    MIND = "mind"
    """The work makes progress, but somebody should look."""
    TROUBLE = "trouble"
    """Something makes no progress, or will be lost."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        what: what is wrong, in one sentence.
        why: why, as far as it is known, in the words of whoever reported it.
        do: what to do about it.
    """

    level: Level
    what: str
    why: str = ""
    do: str = ""


class Held(NamedTuple):
    """Something that a breaker holds; times in epoch seconds."""

    since: float
    until: float
    why: str


@dataclass(frozen=True)
class Kafka:
    """What a worker knows of Kafka itself."""

    address: str = ""
    away_since: float | None = None
    error: str = ""
    login_refused: bool = False
    """Whether a broker answers and does not take the login."""
    refuses: str = ""
    """Why the group does not accept this worker."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Topics that may not be read, and why."""
    overlooked: Mapping[str, str] = field(default_factory=dict)
    """Topics that OpenWhisk would write to in the other log mode, and what to do."""
    elsewhere: Sequence[str] = ()
    """Topics that look like OpenWhisk's, as long as none is read."""
    advice_elsewhere: str = ""
    """What to do about the topics of `elsewhere`."""


@dataclass(frozen=True)
class Database:
    """What a worker knows of the database."""

    address: str = ""
    failing_since: float | None = None
    down: bool = False
    error: str = ""
    advice: str = ""
    reading: str = ""
    """Why documents cannot be read back; empty while they can."""
    diagnosis: int = 0
    missing: Sequence[str] = ()
    """Design documents that are missing."""
    requests: int = 0
    limit: int = 0
    most: int = 0
    waiting: int = 0
    waits: str = ""
    """What requests wait for on purpose; empty while any is under way."""


@dataclass(frozen=True)
class Partition:
    """The state of a partition; times in epoch seconds.

    Args:
        worker: the worker that reads it, or where it connects from; empty if nobody does.
        oldest: when the oldest unfinished record was written.
        kept: until when Kafka keeps it; None if nothing is unread, it is kept for ever, or unknown.
    """

    topic: str
    number: int
    state: State
    lag: int | None = 0
    worker: str = ""
    mine: bool = False
    since: float | None = None
    why: str = ""
    oldest: float | None = None
    kept: float | None = None

    @property
    def name(self) -> str:
        """The partition as `topic/number`."""
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True)
class Condition:
    """Everything that the summary depends on; times in epoch seconds.

    Args:
        not_ready: why this worker's work makes no progress; empty while it does.
        stuck_after: seconds after which a stuck worker ends; 0 for never.
        low: topics with little left of their retention.
        unheard: why the other workers cannot be heard; empty while they can.
        forgetful: why the guard's entries are not written to Kafka; empty while they are.
        setting_aside: dead letters per second in the last minute, of all workers.
        internal: the name of the internal topic.
        exchange: the name of the topic of the workers' snapshots.
    """

    now: float
    stopping: bool = False
    not_ready: str = ""
    since: float | None = None
    stuck_after: float = 0.0
    kafka: Kafka = Kafka()
    database: Database = Database()
    partitions: Sequence[Partition] = ()
    held: Mapping[str, Held] = field(default_factory=dict)
    store_held: Mapping[str, Held] = field(default_factory=dict)
    low: frozenset[str] = frozenset()
    workers: Sequence[Heard] = ()
    unheard: str = ""
    forgetful: str = ""
    setting_aside: float = 0.0
    internal: str = ""
    exchange: str = ""


@dataclass(frozen=True)
class Summary:
    """What the page says first."""

    level: Level
    headline: str
    text: str
    findings: Sequence[Finding] = ()


def summary(condition: Condition) -> Summary:
    """Whether all is well, and if not, what is wrong, worst first."""
    found = sorted(findings(condition), key=lambda one: one.level is not Level.TROUBLE)
    if not found:
        return Summary(Level.WELL, "All is well", _well(condition))
    worst = found[0].level
    if worst is Level.TROUBLE:
        return Summary(worst, "Something is wrong", found[0].what, found)
    return Summary(worst, "The work goes on, with something to look at", found[0].what, found)


def _well(condition: Condition) -> str:
    topics = {one.topic for one in condition.partitions} - {condition.internal}
    if not topics:
        return (
            "The worker runs. No topic of OpenWhisk exists yet; new ones are found within seconds."
        )
    lag = sum(one.lag or 0 for one in condition.partitions)
    moving = f"{plural(lag, 'record is', 'records are')} on the way" if lag else "nothing waits"
    workers = plural(len(condition.workers) or 1, "worker")
    readers = f"{workers} {'read' if len(condition.workers) > 1 else 'reads'}"
    return f"{readers} {plural(len(topics), 'topic')}; {moving}."


def findings(condition: Condition) -> Iterator[Finding]:
    """Everything that is wrong."""
    if condition.stopping:
        yield Finding(
            Level.MIND, "This worker is stopping.", do="Others take over what it has read."
        )
        return
    told = [
        *_kafka(condition),
        *_database(condition),
        *_held(condition),
        *_partitions(condition),
        *_retention(condition),
    ]
    if condition.not_ready and not any(one.level is Level.TROUBLE for one in told):
        yield _not_ready(condition)
    yield from told
    if condition.forgetful and condition.kafka.away_since is None:
        yield Finding(
            Level.MIND,
            "What the guard remembers is not written to Kafka.",
            condition.forgetful,
            "Records are stored all the same. After a restart this worker does not know those of "
            "now, and asks the database about each that comes again.",
        )
    yield from _workers(condition)


def _starting(condition: Condition) -> bool:
    return condition.not_ready.startswith("starting")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _not_ready(condition: Condition) -> Finding:
    if _starting(condition):
        return Finding(
            Level.MIND,
            "This worker is starting.",
            condition.not_ready,
            "Wait a moment. When it lasts for minutes, `persister doctor` tells what it lacks.",
        )
    return Finding(
        Level.TROUBLE,
        f"The work of this worker has stood still{_since(condition.since, condition)}.",
        condition.not_ready,
        _restarts(condition),
    )


def _since(at: float | None, condition: Condition) -> str:
    return "" if at is None else f" since {moment(at, condition.now)} UTC"


def _restarts(condition: Condition) -> str:
    if not condition.stuck_after:
        return "Restart the worker that reads it: PERSISTER_STUCK_AFTER is 0, so none ends itself."
    return (
        f"A worker that stands still for {duration(condition.stuck_after)} ends itself, so that "
        "its supervisor restarts it. If that does not help, its log and `persister doctor` "
        "tell more."
    )


_CHECK_BROKERS = (
    "Check that the brokers run and that PERSISTER_KAFKA_URL names them. The worker goes on by "
    "itself as soon as they answer."
)
_CHECK_LOGIN = (
    "Give the worker the login that the brokers take: PERSISTER_KAFKA_USER, "
    "PERSISTER_KAFKA_PASSWORD and PERSISTER_KAFKA_SASL_MECHANISM. Another password in the file of "
    "PERSISTER_KAFKA_PASSWORD_FILE is taken within a minute; any other change needs a restart."
)


def _kafka(condition: Condition) -> Iterator[Finding]:
    kafka = condition.kafka
    if kafka.away_since is not None:
        yield Finding(
            Level.TROUBLE,
            f"Kafka has not answered{_since(kafka.away_since, condition)}.",
            f"{kafka.address}: {kafka.error}",
            f"{_CHECK_LOGIN if kafka.login_refused else _CHECK_BROKERS} Nothing that was read is "
            "lost. What is shown here of topics is from before.",
        )
    if kafka.refuses:
        yield Finding(
            Level.TROUBLE,
            "The consumer group does not take this worker.",
            kafka.refuses,
            "See which other application uses the group of PERSISTER_APP_ID.",
        )
    for topic, advice in sorted(kafka.overlooked.items()):
        yield Finding(
            Level.MIND,
            f"{topic} exists and is not read in this log mode.",
            do=f"{advice}. If nothing writes there any more, delete it.",
        )
    if kafka.elsewhere and not kafka.overlooked:
        yield Finding(
            Level.MIND,
            "No topic of OpenWhisk is read.",
            f"Kafka has {listed(kafka.elsewhere)}.",
            f"{_sentence(kafka.advice_elsewhere)}.",
        )
    for topic, why in sorted(kafka.unreadable.items()):
        yield Finding(
            Level.TROUBLE,
            f"The topic {topic} may not be read.",
            why,
            _OWN_UNREADABLE if is_own(topic) else _OTHER_UNREADABLE,
        )


_OTHER_UNREADABLE = (
    "If it is one of OpenWhisk's, grant Read on it to this worker's user. All others are read "
    "meanwhile, and this one is tried again every 10 seconds."
)

_OWN_UNREADABLE = (
    "It is one of the persister's own: grant Read on it to this worker's user. Until then the "
    "worker is not ready, and what it would read there waits in Kafka, for as long as that keeps "
    "it. It is tried again every 10 seconds."
)


_SAID_ANYWAY = (
    "retrying until it does: ",
    "nothing is set aside, and all of it is retried until it passes: ",
)
"""How the log describes a failing database, which this page words differently."""


def _database(condition: Condition) -> Iterator[Finding]:
    database = condition.database
    if database.failing_since is not None:
        standing = condition.not_ready and not _starting(condition)
        level = Level.TROUBLE if database.down or standing else Level.MIND
        advice = database.advice
        for known in _SAID_ANYWAY:
            advice = advice.removeprefix(known)
        advice = _sentence(advice)
        yield Finding(
            level,
            f"The database has taken no documents{_since(database.failing_since, condition)}.",
            f"{database.address}: {database.error}",
            f"{advice}. The worker goes on by itself once documents are taken again; meanwhile "
            "they wait in Kafka, and nothing is set aside.",
        )
    elif silent := [one for one in condition.partitions if _waits_for_an_answer(one)]:
        since = min((one.since for one in silent if one.since), default=None)
        yield Finding(
            Level.TROUBLE,
            f"The database has answered nothing{_since(since, condition)}.",
            f"{database.address}: {_under_way(database)}",
            "Check that CouchDB works: its log, its disk, its load; and that PERSISTER_COUCHDB_URL "
            "points to it, with the right scheme, http or https. The worker goes on by itself: "
            "a request that is not answered within PERSISTER_REQUEST_TIMEOUT seconds is sent "
            "again.",
        )
    elif database.reading:
        yield Finding(
            Level.TROUBLE,
            "The database does not let documents be read back.",
            database.reading,
            "Without that, what is there already cannot be compared: commits wait. Give the user "
            "of PERSISTER_COUCHDB_USER the right to read.",
        )
    if database.diagnosis:
        yield Finding(
            Level.MIND,
            f"{plural(database.diagnosis, 'document fails', 'documents fail')} while others are "
            "stored.",
            do="Nothing yet: each is tried alone, several times, before it is set aside. Commits "
            "of its partition wait meanwhile.",
        )
    if database.missing:
        yield Finding(
            Level.MIND,
            f"The database lacks {listed(list(database.missing))}.",
            do="OpenWhisk's lists of activations need these design documents: have its installer "
            "or an administrator add them, or start one worker with an administrator's "
            "credentials.",
        )


def _under_way(database: Database) -> str:
    if database.requests:
        return f"{plural(database.requests, 'request')} under way"
    return f"{plural(database.waiting, 'document waits', 'documents wait')} for a connection"


def _held(condition: Condition) -> Iterator[Finding]:
    for topic, held in sorted(condition.held.items()):
        yield Finding(
            Level.TROUBLE,
            f"{topic} has not been read{_since(held.since, condition)}: nearly everything on it "
            "was rejected.",
            held.why,
            "Find out who writes to it: `persister dead-letters list --topic "
            f"{topic}`. It is tried again at {moment(held.until, condition.now)} UTC; until then "
            "its records stay in Kafka, for as long as that keeps them.",
        )
    for held in condition.store_held.values():
        yield Finding(
            Level.TROUBLE,
            f"Storing has been held{_since(held.since, condition)}: many documents would be set "
            "aside for one reason.",
            held.why,
            "Find out what refuses them: the database's design documents, or something in front "
            f"of it. It is tried again at {moment(held.until, condition.now)} UTC; records wait "
            "in Kafka meanwhile.",
        )


def _partitions(condition: Condition) -> Iterator[Finding]:
    if condition.kafka.away_since is not None:
        # What Kafka said is from before.
        return
    known = {held.why for held in (*condition.held.values(), *condition.store_held.values())}
    by_why: defaultdict[tuple[str, State, bool], list[Partition]] = defaultdict(list)
    for one in condition.partitions:
        stands = one.state in (State.STUCK, State.WAITING) and one.why
        told = one.why in known or one.topic in condition.kafka.unreadable
        if one.why == NOT_YET or _waits_for_an_answer(one):
            continue  # it is in the table, and told of the database
        if stands and not told and not _waits_for_the_database(one, condition):
            by_why[one.why, one.state, bool(one.worker)].append(one)
    for (why, state, read), found in by_why.items():
        yield _standing(why, state, found, condition, read=read)


def _waits_for_an_answer(one: Partition) -> bool:
    return one.mine and one.why.startswith(STORES_NOTHING)


def _waits_for_the_database(one: Partition, condition: Condition) -> bool:
    """Whether a failing database, which is reported anyway, explains a waiting partition."""
    if condition.database.failing_since is None or one.state is not State.WAITING:
        return False
    failing = {
        heard.snapshot.worker for heard in condition.workers if heard.snapshot.database.error
    }
    return bool(one.worker) and (one.mine or one.worker in failing)


def _standing(
    why: str, state: State, found: Sequence[Partition], condition: Condition, *, read: bool
) -> Finding:
    names = listed([one.name for one in found])
    since = _since(min((one.since for one in found if one.since), default=None), condition)
    if not read:
        level = Level.TROUBLE if state is State.STUCK else Level.MIND
        return Finding(
            level,
            f"Nobody has read {names}{since}.",
            "" if why.startswith("nobody") else why,
            "Start a worker, or see in the logs of those that run why they do not join the group.",
        )
    lag = sum(one.lag or 0 for one in found)
    have = "has" if len(found) == 1 else "have"
    what = f"{names} {have} not moved{since}; {plural(lag, 'record waits', 'records wait')}."
    readers = sorted({one.worker for one in found if not one.mine})
    if readers:
        why = f"{why} ({listed(readers)})"
    if state is State.STUCK:
        return Finding(Level.TROUBLE, what, why, _restarts(condition))
    do = "Nothing here: it waits for what is named."
    if readers:
        do = f"See the page and the log of {listed(readers)}."
    return Finding(Level.MIND, what, why, do)


def _retention(condition: Condition) -> Iterator[Finding]:
    ends: dict[str, float] = {}
    for one in condition.partitions:
        if one.kept is not None:
            ends[one.topic] = min(one.kept, ends.get(one.topic, one.kept))
    for topic, end in sorted(ends.items()):
        left = end - condition.now
        if topic in condition.low or left < URGENT_SECONDS:
            when = f"in {duration(left)}" if left > 0 else "at any moment"
            yield Finding(
                Level.TROUBLE if left < URGENT_SECONDS else Level.MIND,
                f"Kafka may delete unread records of {topic} {when}.",
                do="Remove what holds the worker up, start more workers, or give it time: raise "
                "retention.ms of the topic.",
            )
    behind = [
        one
        for one in condition.partitions
        if one.state is State.MOVING and one.oldest and one.lag
        if condition.now - one.oldest > BEHIND_SECONDS
    ]
    if behind and condition.kafka.away_since is None:
        oldest = max(condition.now - (one.oldest or condition.now) for one in behind)
        lag = sum(one.lag or 0 for one in behind)
        yield Finding(
            Level.MIND,
            f"Storing is behind: {plural(lag, 'record waits', 'records wait')}, the oldest for "
            f"{duration(oldest)}.",
            condition.database.waits,
            "Nothing while the chart of waiting records falls. If it rises, "
            f"{_too_slow(condition)}.",
        )


def _too_slow(condition: Condition) -> str:
    if condition.database.waits:
        return "more comes in than that allows"
    return "the database is too slow for what comes in: see its pace below"


def _workers(condition: Condition) -> Iterator[Finding]:
    for one in condition.workers:
        if one.missing:
            yield Finding(
                Level.MIND,
                f"The worker {one.snapshot.worker} has not been heard for {duration(one.age)}.",
                do="If nobody took it away, see its log and its supervisor. The others take over "
                "its partitions; it leaves this page after an hour.",
            )
        elif one.snapshot.why and not one.own and not _same(one, condition):
            yield Finding(
                Level.MIND,
                f"The worker {one.snapshot.worker} is not ready.",
                one.snapshot.why,
                "See its own page.",
            )
    versions = sorted({one.snapshot.version for one in condition.workers if one.snapshot.version})
    if len(versions) > 1:
        yield Finding(
            Level.MIND,
            f"The workers run different versions: {listed(versions)}.",
            do="Expected during a roll-out; otherwise update the rest.",
        )
    yield from _lost(condition)
    if condition.setting_aside:
        yield Finding(
            Level.MIND,
            f"Records are being set aside: {number(_set_aside(condition))} in the last minute.",
            do="For the reasons, see `persister dead-letters list`, or the dead letters on the "
            "status page.",
        )
    if condition.unheard and condition.kafka.away_since is None:
        yield Finding(
            Level.MIND,
            "Workers do not all hear one another: this page may not show all of them.",
            condition.unheard,
            f"Records are stored all the same. If a right is missing: this needs Describe, Read, "
            f"Write and Create on the topic {condition.exchange}.",
        )


def _lost(condition: Condition) -> Iterator[Finding]:
    counts = [one.snapshot.counts for one in condition.workers]
    documents = sum(one.lost_documents for one in counts)
    records = sum(one.lost for one in counts) - documents
    if records > 0:
        yield Finding(
            Level.MIND,
            f"Kafka deleted {plural(records, 'record')} of OpenWhisk's topics before they were "
            "read.",
            do="They are gone. Keep more workers running, or let OpenWhisk's topics keep records "
            "for longer (retention.ms). Counted since the workers started.",
        )
    if documents:
        yield Finding(
            Level.MIND,
            f"Kafka deleted {plural(documents, 'document')} of {condition.internal} before they "
            "were stored.",
            do="`persister audit --repair` sends those again that OpenWhisk's topics still have. "
            f"{_sentence(after_loss(condition.internal))}. Counted since the workers started.",
        )


def _set_aside(condition: Condition) -> float:
    """Dead letters in the last minute; never more than the workers have in all."""
    ever = sum(one.snapshot.counts.dead_letters for one in condition.workers)
    return max(1.0, min(60 * condition.setting_aside, ever))


def _same(one: Heard, condition: Condition) -> bool:
    """Whether another worker only repeats what this page already says."""
    away = condition.kafka.away_since is not None
    return (
        away
        or condition.database.failing_since is not None
        or (one.snapshot.why == condition.not_ready)
    )
