"""Judges whether the work makes progress. Pure; time and facts are passed in.

Only committed offsets count: a partition with unread records whose committed offset does not move
stands still, even if every part of the worker seems to run. It is *waiting* when there is a known
reason that a restart would not fix (the database, its pace, a breaker), and *stuck* otherwise. A
partition without a reader concerns every worker; one that another worker reads concerns only that
worker.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from faust.types import TP

from app.kafka.group_view import GroupView
from app.monitoring.progress.facts import Seen, Silence, Worker
from app.monitoring.progress.lasting import Lasting
from app.monitoring.progress.partitions import Finding, Partitions, Reason
from app.monitoring.progress.rules import STANDING, Rules
from app.monitoring.progress.verdict import PartitionVerdict, State, Verdict

SEVERAL = 3
"""How many partitions to name; further ones are only counted."""


class _Cause(NamedTuple):
    """Something that stands still.

    Args:
        why: a description.
        stands: for how many seconds.
        stuck: for how many of them a restart might have helped; 0 if it cannot help.
        blocks: whether the worker is not ready because of it.
    """

    why: str
    stands: float
    stuck: float = 0.0
    blocks: bool = True


class Judge:
    """Judges the facts of each look, compared with those of earlier looks.

    Args:
        rules: the fixed rules.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lasting = Lasting()
        self._judge = Partitions(rules, self._lasting)
        self._partitions: Mapping[TP, PartitionVerdict] = {}
        self._silence = ""
        """Why Kafka does not answer; empty if it does."""
        self._was_ready = False

    def look(self, at: float, wall: float, seen: Seen, worker: Worker) -> Verdict:
        """Judge the work at one moment.

        Args:
            at: monotonic seconds.
            wall: epoch seconds.
            seen: what Kafka says.
            worker: what the worker knows.
        """
        self._lasting.tick(at)
        self._lasting.of("answers", worker.database.last_answered)
        self._lasting.of("stored", worker.database.last_stored)
        causes = [*self._own(worker, silent=isinstance(seen, Silence))]
        if isinstance(seen, GroupView):
            findings = self._judge.judge(wall, seen, worker, self._silence)
            self._silence = ""
            self._partitions = {tp: finding.verdict for tp, finding in findings.items()}
            causes += [*self._group(seen, worker), *_summed_up(findings)]
        else:
            self._silence = f"Kafka does not answer: {seen.why}"
            causes.append(_Cause(self._silence, self._lasting.of("silence")))
        return self._verdict(wall, worker, causes)

    def _own(self, worker: Worker, *, silent: bool) -> Iterator[_Cause]:
        """What the worker itself knows to be in its way."""
        unstored, throttled = 0.0, bool(worker.throttled)
        if worker.database.busy and not worker.database.waits:
            unstored = self._lasting.of("unstored", worker.database.last_stored)
        if not worker.started:
            # Each step forward restarts the clock, and while Kafka is silent there can be no step.
            step = (worker.generation, worker.recovery_left, silent)
            stands = self._lasting.of("starting", step)
            left = worker.recovery_left
            what = f"the guard's table ({left} changes left)" if left else "a first assignment"
            why = f"starting: waiting for {what}{_refusal(worker)}"
            yield _Cause(why, stands, self._joining(stands, silent=silent or throttled))
        elif worker.rebalancing:
            stands = self._lasting.of(
                "rebalancing", (worker.generation, worker.recovery_left, silent)
            )
            why = f"rebalancing: waiting for the group's next assignment{_refusal(worker)}"
            yield _Cause(why, stands, self._joining(stands, silent=silent or throttled))
        for topic in sorted(worker.unreadable.keys() & self._rules.required):
            why = f"the topic {topic} may not be read: {worker.unreadable[topic]}"
            yield _Cause(why, self._lasting.of(("unreadable", topic)))
        if worker.database.failing:
            why = f"the database takes no documents: {worker.database.failing}"
            # Nothing may have been stored for a while before requests began to fail.
            yield _Cause(why, max(self._lasting.of("database"), unstored))

    def _joining(self, stands: float, *, silent: bool = False) -> float:
        """The part of `stands` in which a restart might help: the group may await a dead member."""
        return 0.0 if silent else max(0.0, stands - self._rules.session)

    def _group(self, seen: GroupView, worker: Worker) -> Iterator[_Cause]:
        """What is in the way of the group, or of this worker's membership."""
        if not worker.started:
            return
        for topic in sorted(set(self._rules.required) - seen.topics):
            stands = self._lasting.of(("missing", topic))
            why = (
                f"the topic {topic} is gone, or may not be seen any more (the right Describe): if "
                "it is gone, a start makes it again"
            )
            yield _Cause(why, stands, stands)
        if worker.rebalancing:
            return
        if not seen.stable and seen.members:
            stands = self._lasting.of("unstable", worker.generation)
            why = f"the consumer group is not stable ({seen.state})"
            yield _Cause(why, stands, self._joining(stands))
        elif worker.member not in seen.members:
            stands = self._lasting.of("member")
            why = "Kafka does not know this worker as a member of its consumer group"
            why += _refusal(worker)
            yield _Cause(why, stands, stands)

    def _verdict(self, wall: float, worker: Worker, causes: Collection[_Cause]) -> Verdict:
        if worker.stopping:
            return Verdict(State.WAITING, "stopping", partitions=self._partitions)
        worst = max(causes, key=lambda cause: cause.stuck, default=None)
        stuck_for, stuck_on = (worst.stuck, worst.why) if worst and worst.stuck else (0.0, "")
        # A worker that was never ready gets no patience, lest a roll-out take it for ready.
        patience = STANDING if self._was_ready else 0.0
        blocking = [one for one in causes if one.blocks and one.stands >= patience]
        if not blocking:
            self._was_ready = True
            state = self._state()
            return Verdict(state, None, None, stuck_for, stuck_on, self._partitions)
        state = State.STUCK if any(one.stuck for one in blocking) else State.WAITING
        why = "; ".join(dict.fromkeys(one.why for one in blocking))
        since = wall - max(one.stands for one in blocking)
        return Verdict(state, why, since, stuck_for, stuck_on, self._partitions)

    def _state(self) -> State:
        """The state of a worker that is ready."""
        states = {one.state for one in self._partitions.values() if one.mine}
        for state in (State.MOVING, State.STUCK, State.WAITING):
            if state in states:
                return state
        return State.IDLE


def _refusal(worker: Worker) -> str:
    known = worker.refused or worker.throttled
    return f" ({known})" if known else ""


def _summed_up(findings: Mapping[TP, Finding]) -> Iterator[_Cause]:
    """One cause for all partitions that stand still for the same reason."""
    by_reason: defaultdict[Reason, dict[TP, Finding]] = defaultdict(dict)
    for tp, finding in findings.items():
        if finding.reason is not None:
            by_reason[finding.reason][tp] = finding
    for reason, found in by_reason.items():
        stands = max(one.stands for one in found.values())
        stuck = max(one.stuck for one in found.values()) if reason.restart else 0.0
        yield _Cause(f"{_names(found)}: {reason.why}", stands, stuck, reason.blocks)


def _names(partitions: Collection[TP]) -> str:
    names = [f"{tp.topic}/{tp.partition}" for tp in sorted(partitions)]
    more = len(names) - SEVERAL
    return ", ".join(names[:SEVERAL]) + (f" and {more} more" if more > 0 else "")
