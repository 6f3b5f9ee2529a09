"""Describes a simulated deployment: its set-up and its mix of events."""

from dataclasses import dataclass, field, fields

from app.kafka.topics import PAYLOAD_LIMIT, TopicNames
from app.routing.rules import Rules
from app.settings import LogMode, RoutingSettings, StoreLevel
from models.wire import Version
from openwhisk.store import InvokerRecords

STORE_EVERYTHING = RoutingSettings(
    blocking_store_level=StoreLevel.STORE_ALWAYS,
    non_blocking_store_level=StoreLevel.STORE_ALWAYS,
    excluded_namespaces=frozenset(),
)


@dataclass(frozen=True)
class Setup:
    """A deployment.

    Args:
        log_mode: where logs are kept.
        invoker_records: what the invokers' store writes while logs are kept elsewhere.
        topics: their names.
        controllers: the names in their `completed` topics.
        versions: of OpenWhisk, mixed.
        rules: store levels and excluded namespaces, of OpenWhisk and of the persister alike.
    """

    log_mode: LogMode = LogMode.SEPARATE
    invoker_records: InvokerRecords = InvokerRecords.UNCARRIED
    topics: TopicNames = field(default_factory=TopicNames)
    controllers: tuple[str, ...] = ("0", "1")
    versions: tuple[Version, ...] = tuple(Version)
    rules: Rules = STORE_EVERYTHING

    @property
    def store_topic(self) -> str:
        """The topic that the activation stores write to."""
        return self.topics.store(self.log_mode)

    @property
    def completed_topics(self) -> tuple[str, ...]:
        """The acknowledgements."""
        return tuple(self.topics.completed(controller) for controller in self.controllers)

    @property
    def read_topics(self) -> tuple[str, ...]:
        """The topics that the persister reads in this log mode."""
        if self.log_mode is LogMode.IN_RECORD:
            return (self.store_topic,)
        return (*self.completed_topics, self.store_topic)


@dataclass(frozen=True)
class Mix:
    """The relative frequency of each event.

    The first five are weights of one another; all others are shares between 0 and 1.

    Args:
        action: an action runs in a container.
        unrunnable: an action can't be run; the invoker answers for it.
        sequence: a sequence ends.
        conductor: a composition ends.
        trigger: a trigger is fired.
        blocking: activations whose invoker waits for the result (never triggers).
        failures: activations that fail, in equal parts by application, developer and whisk.
        extra_logging: requests that force their activations to be stored.
        parents: requests that another request caused (current version only).
        packaged: actions in a package, some of them bound.
        unicode: results and log lines with other scripts.
        chatty: actions with thousands of log lines.
        duplicates: of everything sent, what is sent a second time.
        divergent: of everything sent, what is a second record with the id of another one.
        junk: of everything sent, what is no message or holds no acceptable record.
    """

    action: float = 0.84
    unrunnable: float = 0.01
    sequence: float = 0.06
    conductor: float = 0.03
    trigger: float = 0.06
    blocking: float = 0.6
    failures: float = 0.08
    extra_logging: float = 0.01
    parents: float = 0.05
    packaged: float = 0.3
    unicode: float = 0.15
    chatty: float = 0.0005
    duplicates: float = 0.01
    divergent: float = 0.0
    junk: float = 0.01

    def __post_init__(self) -> None:
        for share in fields(self):
            if not 0 <= getattr(self, share.name) <= 1:
                raise ValueError(f"{share.name} must be between 0 and 1")
        if not any(self.kinds.values()):
            raise ValueError("one of the kinds of activations needs a weight above 0")
        if self.duplicates + self.divergent + self.junk >= 1:
            raise ValueError("duplicates, divergent and junk must be less than 1 together")

    @property
    def kinds(self) -> dict[str, float]:
        """The weights by name."""
        kinds = ("action", "unrunnable", "sequence", "conductor", "trigger")
        return {kind: getattr(self, kind) for kind in kinds}


@dataclass(frozen=True)
class Sizes:
    """The distribution of result sizes: most around a median, a few at the limits.

    Args:
        median: bytes.
        spread: of the logarithm; 0: all alike.
        near_limit: share of results just under OpenWhisk's payload limit.
        oversized: share of results too large for an acknowledgement.
        limit: bytes; OpenWhisk's payload limit.
    """

    median: int = 400
    spread: float = 1.0
    near_limit: float = 0.0002
    oversized: float = 0.0
    limit: int = PAYLOAD_LIMIT

    def __post_init__(self) -> None:
        if not 0 <= self.median <= self.limit // 8:
            raise ValueError(f"the median size must be between 0 and {self.limit // 8} bytes")
        if self.near_limit + self.oversized > 1:
            raise ValueError("near_limit and oversized must not be more than 1 together")
