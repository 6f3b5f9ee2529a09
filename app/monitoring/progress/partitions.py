"""Judges whether each partition makes progress. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from faust.types import TP

from app.kafka.group_view import GroupView, Reach
from app.monitoring.progress.facts import Database, Worker
from app.monitoring.progress.lasting import Lasting
from app.monitoring.progress.rules import STANDING, Rules
from app.monitoring.progress.verdict import PartitionVerdict, State

IN_FRONT = 8
"""If this many times the documents that may be in flight have been settled since, a chunk at its
agent counts as overtaken. In front of it can only be that many documents, the chunk that exceeded
the limit, and its own, each of which is counted twice.

With a maximum rate it is this many times what the rate lets pass. Duplicates that the guard knows
do not count then, nor does what is compared without being sent, because they pass at any rate.
"""

AHEAD = 64
"""The same for a partition whose next chunk is not at its agent. In front of it is also what was
fetched of all other partitions, some thousand documents each, which take minutes if the database is
slow.
"""


class Reason(NamedTuple):
    """Why a partition does not move.

    Args:
        why: a description.
        restart: whether a restart may help.
        blocks: whether the worker is not ready because of it.
        lingers: whether the worker stays ready for the moment in which what has waited for it is
            committed, as in each trial of a breaker.
    """

    why: str
    restart: bool = False
    blocks: bool = True
    lingers: bool = False


NOBODY = Reason("nobody reads it", restart=True)
LEFT_OUT = Reason(
    "nobody reads it: another member leads the consumer group, and assigns it to none. If that is "
    "no worker, end it; who may join is Kafka's matter (the right Read on the group)"
)
"""A restart of this worker changes nothing; a worker that leads restarts itself."""

NOT_YET = "nobody reads it yet"
"""For a new topic, or a new group."""

STORES_NOTHING = "the database stores nothing"
"""A request is under way, and has not failed."""

UNKNOWN = Reason("nothing is committed, for no known reason", restart=True)
OVERTAKEN = Reason("what came after it is stored, and it is not", restart=True)
NO_LEADER = Reason("Kafka does not say where it ends")
UNANSWERED = Reason("its new leader does not say whether it has all that was read")
BETWEEN = Reason("the group rebalances, or the guard's table is read", blocks=False)
PACE = Reason("waiting at the pace of the database", blocks=False)
FOREIGN = Reason("the worker that reads it does not move", blocks=False)
_JUST_OVER = "nothing is committed yet; until a moment ago: {}"
"""For a reason that is gone: what waited for it takes a moment to be committed."""


class Finding(NamedTuple):
    """The result for one partition.

    Args:
        stands: for how many seconds it has not moved, whatever the reason.
        stuck: for how many seconds it has not moved for this reason.
        reason: why it stands still; None if it does not.
    """

    verdict: PartitionVerdict
    stands: float = 0.0
    stuck: float = 0.0
    reason: Reason | None = None


class _Stood(NamedTuple):
    """What a partition of this worker stood still for.

    Args:
        committed: where it stands.
        reason: why it did; not ready because of it.
        since: seconds that had been watched until then.
    """

    committed: int | None
    reason: Reason
    since: float


class _Look(NamedTuple):
    wall: float
    seen: GroupView
    worker: Worker
    silence: str


class Partitions:
    """Judges every partition that the group should read.

    Args:
        rules: the fixed rules.
        lasting: the stopwatches, which have started the current look.
    """

    def __init__(self, rules: Rules, lasting: Lasting) -> None:
        self._rules = rules
        self._lasting = lasting
        self._first: frozenset[TP] | None = None
        self._holders: Mapping[TP, str] = {}
        self._settled: dict[TP, int] = {}
        """How many documents had been settled when a partition last moved."""
        self._begun: dict[TP, Database] = {}
        """The state of the database when it last moved, or last had no chunk at its agent."""
        self._known: dict[TP, Reason] = {}
        """Why a partition of this worker did not move when that was last known, until it moves."""
        self._waits: dict[TP, bool] = {}
        """Whether a partition, when a member last held it, waited for something that no restart
        helps.
        """
        self._stood: dict[TP, _Stood] = {}
        """Partitions that have made this worker not ready, until they move."""

    def judge(
        self, wall: float, seen: GroupView, worker: Worker, silence: str = ""
    ) -> dict[TP, Finding]:
        """Judge every partition.

        Args:
            wall: epoch seconds.
            seen: what Kafka says.
            worker: what the worker knows.
            silence: why Kafka did not answer at the look before; empty if it did.
        """
        if self._first is None:
            self._first = frozenset(seen.partitions)
        if seen.stable or not seen.members:
            # During a rebalance Kafka does not say who holds what.
            self._holders = seen.holders()
        for known in (self._settled, self._begun, self._known, self._waits, self._stood):
            for gone in known.keys() - seen.partitions.keys():
                del known[gone]
        return dict(self._each(_Look(wall, seen, worker, silence)))

    def _each(self, look: _Look) -> Iterator[tuple[TP, Finding]]:
        for tp, reach in look.seen.partitions.items():
            self._lasting.of(("unread", tp), (reach.committed, reach.lag == 0))
            if (stood := self._stood.get(tp)) and (
                reach.lag == 0 or reach.committed != stood.committed
            ):
                del self._stood[tp]
            holder = self._holders.get(tp)
            yield tp, (self._held(tp, reach, look) if holder else self._unheld(tp, reach, look))

    def _unheld(self, tp: TP, reach: Reach, look: _Look) -> Finding:
        """Judge a partition that is assigned to nobody; a new one may take a while."""
        known = self._first is not None and tp in self._first
        grace = 0.0 if known else self._rules.discovery
        lasts = self._lasting.of(("unheld", tp))
        if reach.lag and not grace and not self._waits.get(tp):
            # Its last holder had already stood still before Kafka took it away.
            lasts = max(lasts, self._lasting.of(("unread", tp), (reach.committed, False)))
        since = look.wall - lasts
        if lasts < STANDING + grace:
            return Finding(PartitionVerdict(State.WAITING, reach, since=since, why=NOT_YET))
        reason = NOBODY if look.worker.leads else LEFT_OUT
        state = State.STUCK if reason.restart else State.WAITING
        verdict = PartitionVerdict(state, reach, since=since, why=reason.why)
        return Finding(verdict, lasts, lasts, reason)

    def _held(self, tp: TP, reach: Reach, look: _Look) -> Finding:
        member = self._holders[tp]
        host = look.seen.members[member].host if member in look.seen.members else ""
        mine = member == look.worker.member
        stands = self._lasting.of(("place", tp), (reach.committed, reach.lag == 0, mine))
        if not stands:
            self._settled[tp] = look.worker.database.settled
            self._known[tp] = Reason(look.silence) if look.silence else UNKNOWN
        if not stands or tp not in look.worker.at_work:
            self._begun[tp] = look.worker.database
        self._waits.pop(tp, None)
        if reach.lag == 0:
            return Finding(PartitionVerdict(State.IDLE, reach, host, mine, member=member))
        ours = self._reason(tp, reach, look.worker)
        # What this worker waits for, such as the database, keeps the others waiting as well.
        self._waits[tp] = not ours.restart
        stuck = self._lasting.of(("reason", tp), (reach.committed, ours if mine else FOREIGN))
        reason = self._last_known(tp, ours, stuck) if mine else FOREIGN
        if mine and not reason.blocks and reason is not BETWEEN:
            self._stood.pop(tp, None)  # it waits for something else by now
        if mine and (stood := self._stood.get(tp)):
            # That the group rebalances, or Kafka was silent, does not mean that it moves.
            reason = stood.reason if reason is BETWEEN else reason
            stands = max(stands, self._lasting.now - stood.since)
        if stands < STANDING:
            return Finding(PartitionVerdict(State.MOVING, reach, host, mine, member=member))
        if mine and reason.blocks:
            since = self._lasting.now - stands
            self._stood[tp] = _Stood(reach.committed, reason._replace(restart=False), since)
        state = State.STUCK if reason.restart else State.WAITING
        began = look.wall - stands
        verdict = PartitionVerdict(state, reach, host, mine, began, reason.why, member)
        return Finding(verdict, stands, stuck, reason)

    def _reason(self, tp: TP, reach: Reach, worker: Worker) -> Reason:
        """Why a partition of this worker does not move, in case it does not."""
        if not worker.started or worker.rebalancing:
            return BETWEEN
        if reach.lag is None:
            return NO_LEADER
        if on_purpose := worker.unreadable.get(tp.topic) or worker.held.get(tp.topic):
            # A topic that the worker needs is reported once, for the worker as a whole.
            return Reason(on_purpose, blocks=False, lingers=True)
        if tp in worker.unanswered:
            return UNANSWERED
        reason = UNKNOWN
        if tp.topic == self._rules.documents:
            reason = self._database(tp, worker.database)
        if not reason.restart:
            return reason
        # Sending recovers by itself, with new clients if that helps, and so does a throttled client
        # after its pause.
        known = worker.unsent or worker.throttled
        return Reason(known) if known else reason

    def _last_known(self, tp: TP, reason: Reason, lasts: float) -> Reason:
        """The reason or, in the first seconds without a known one, which was the last."""
        if not reason.restart:
            self._known[tp] = reason
        if reason is not UNKNOWN:
            return reason
        if lasts >= STANDING:
            self._known[tp] = UNKNOWN
        known = self._known[tp]
        if known is UNKNOWN:
            return reason
        return Reason(_JUST_OVER.format(known.why), blocks=not known.lingers)

    def _database(self, tp: TP, database: Database) -> Reason:
        """Why documents are not stored."""
        if database.failing:
            # Reported once, for the worker as a whole.
            return Reason(database.failing, blocks=False)
        unanswered = 0.0
        if not database.waits:
            unanswered = self._lasting.of("answers", database.last_answered)
        if not database.busy or unanswered > self._rules.request_timeout + STANDING:
            return UNKNOWN
        if self._overtaken(tp, database):
            return OVERTAKEN
        if database.waits:
            return Reason(database.waits, blocks=False)
        if self._lasting.of("stored", database.last_stored) < STANDING:
            return PACE
        said = f"; it last said: {database.last_error}" if database.last_error else ""
        return Reason(f"{STORES_NOTHING}{said}")

    def _overtaken(self, tp: TP, database: Database) -> bool:
        """Whether more has been settled since than can have been in front of it."""
        rules, begun = self._rules, self._begun[tp]
        if rules.paced is not None and database.stored - begun.stored > IN_FRONT * rules.paced:
            return True
        chunk, partition = database.settled - begun.settled, database.settled - self._settled[tp]
        return chunk > IN_FRONT * rules.in_flight or partition > AHEAD * rules.in_flight
