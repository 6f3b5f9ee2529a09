"""Traffic is reproducible, and its ledger is right about what the fleet really sends."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from app.kafka.topics import LARGEST_ACKNOWLEDGEMENT, TopicNames
from app.monitoring.outcomes import Key, Outcome, Step
from app.routing import Reject, Skip, Store, route
from app.settings import LogMode, RoutingSettings, StoreLevel
from dev.traffic import Fleet, Ledger, Mix, Setup, Sizes, Traffic, miscounted
from dev.traffic.events import Again, Junk, Ran
from models.reasons import RejectReason, SkipReason
from models.wire import Version
from openwhisk.store import InvokerRecords
from tests.fakes.publisher import FakePublisher

COUNT = 1000
MIX = Mix(sequence=0.1, unrunnable=0.05, chatty=0.002, duplicates=0.05, divergent=0.02, junk=0.06)
SIZES = Sizes(near_limit=0.003, oversized=0.003)
FAILURES = RoutingSettings(
    blocking_store_level=StoreLevel.STORE_FAILURES,
    non_blocking_store_level=StoreLevel.STORE_FAILURES_NOT_APPLICATION_ERRORS,
    excluded_namespaces=frozenset({"guest"}),
)
SETUPS = {
    "invoker stores what nothing carries": Setup(),
    "invoker stores everything": Setup(invoker_records=InvokerRecords.ALL),
    "logs in the record": Setup(log_mode=LogMode.IN_RECORD),
    "older topic name, prefix, one controller": Setup(
        topics=TopicNames("ow-", "completed-non-blocking"), controllers=("controller-a",)
    ),
    "failures only, everything": Setup(rules=FAILURES, invoker_records=InvokerRecords.ALL),
    "failures only, in the record": Setup(rules=FAILURES, log_mode=LogMode.IN_RECORD),
}


class Persister:
    """Routes and stores in memory, record by record."""

    def __init__(self, setup: Setup) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.counts: Counter[Key] = Counter()
        self._setup = setup
        self._names = TopicNames(setup.topics.prefix)

    def take(self, topic: str, value: bytes) -> None:
        role = self._names.role(topic, self._setup.log_mode)
        if role is None:
            return
        match route(role, value, 0, self._setup.rules):
            case Store(_, document):
                self.counts[Key(Step.ROUTE, Outcome.ROUTED)] += 1
                self._store(json.loads(document))
            case Skip(reason):
                self.counts[Key(Step.ROUTE, Outcome.SKIPPED, reason)] += 1
            case Reject(reason, _):
                self.counts[Key(Step.ROUTE, Outcome.DEAD_LETTERED, reason)] += 1

    def _store(self, document: dict[str, Any]) -> None:
        first = self.documents.setdefault(document["_id"], document)
        if first is document:
            key = Key(Step.STORE, Outcome.STORED)
        elif first == document:
            key = Key(Step.STORE, Outcome.DUPLICATE)
        else:
            key = Key(Step.STORE, Outcome.DEAD_LETTERED, RejectReason.DIVERGENT)
        self.counts[key] += 1


async def sent(traffic: Traffic, publisher: FakePublisher) -> Persister:
    fleet = Fleet(publisher, traffic.setup)
    persister = Persister(traffic.setup)
    for event in islice(traffic, COUNT):
        await fleet.send(event)
    for topic, value in publisher.records:
        persister.take(topic, value)
    return persister


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS.keys())
async def test_the_ledger_is_right(publisher: FakePublisher, setup: Setup) -> None:
    traffic = Traffic(setup, seed=7, mix=MIX, sizes=SIZES)
    persister = await sent(traffic, publisher)
    ledger = traffic.ledger(COUNT)
    assert ledger.outcomes.counts == persister.counts
    assert not ledger.differences(persister.documents.values())
    assert ledger.documents() == {
        document_id: {k: v for k, v in document.items() if k != "updated"}
        for document_id, document in persister.documents.items()
    }
    assert set(publisher.topics) <= {*setup.completed_topics, setup.store_topic}


async def test_everything_that_can_happen_happens(publisher: FakePublisher) -> None:
    traffic = Traffic(seed=7, mix=MIX, sizes=SIZES)
    counts = (await sent(traffic, publisher)).counts
    reasons = {key.reason for key in counts}
    assert {
        *(SkipReason.ACKNOWLEDGEMENT, SkipReason.NO_RECORD),
        *(RejectReason.NOT_JSON, RejectReason.NOT_A_MESSAGE, RejectReason.INVALID_RECORD),
        RejectReason.DIVERGENT,
    } <= reasons
    messages = [message for topic, message in decoded(publisher) if topic.startswith("completed")]
    assert any("invoker" in message for message in messages)
    assert any("instance" in message for message in messages)
    assert max(len(value) for _, value in publisher.records) > LARGEST_ACKNOWLEDGEMENT
    assert any(len(message["transid"]) == 4 for message in messages) or any(
        isinstance(message["transid"][-1], list) for message in messages
    )


def decoded(publisher: FakePublisher) -> list[tuple[str, Any]]:
    messages = []
    for topic, value in publisher.records:
        try:
            message = json.loads(value)
        except ValueError:
            continue
        if isinstance(message, dict) and isinstance(message.get("transid"), list):
            messages.append((topic, message))
    return messages


async def test_acknowledgements_never_exceed_what_their_topic_takes(
    publisher: FakePublisher,
) -> None:
    for topic in Setup().completed_topics:
        publisher.largest[topic] = LARGEST_ACKNOWLEDGEMENT
    traffic = Traffic(seed=3, mix=Mix(junk=0), sizes=Sizes(near_limit=0.2, oversized=0.2))
    fleet = Fleet(publisher, traffic.setup)
    whole = shrunk = 0
    for event in islice(traffic, 60):
        before = len(publisher.records)
        await fleet.send(event)
        if isinstance(event, Ran) and event.blocking:
            alone = len(publisher.records) == before + 1
            assert alone is not event.oversized
            shrunk += event.oversized
            whole += not event.oversized
    assert whole
    assert shrunk


def test_the_same_seed_gives_the_same_events_and_another_gives_others() -> None:
    def records(seed: int) -> list[str]:
        return [repr(event) for event in islice(Traffic(seed=seed, mix=MIX), 300)]

    traffic = Traffic(seed=5, mix=MIX)
    first = [repr(event) for event in islice(traffic, 300)]
    assert [repr(event) for event in islice(traffic, 300)] == first
    assert records(5) == first
    assert records(6) != first


def test_the_mix_decides_what_happens() -> None:
    only_triggers = Mix(
        action=0, unrunnable=0, sequence=0, conductor=0, trigger=1, duplicates=0, junk=0
    )
    triggers = list(islice(Traffic(mix=only_triggers), 50))
    assert {
        event.activation.name for event in triggers if not isinstance(event, (Again, Junk))
    } == {"tick"}
    assert all(
        isinstance(event, Junk) for event in islice(Traffic(mix=Mix(junk=0.999, duplicates=0)), 20)
    )


def test_divergence_happens_only_when_asked_for() -> None:
    again = [event for event in islice(Traffic(), 1000) if isinstance(event, Again)]
    assert again
    assert not any(event.divergent for event in again)


def test_versions_and_namespaces_are_as_many_as_asked_for() -> None:
    setup = Setup(versions=(Version.V2019,))
    events = [e for e in islice(Traffic(setup, namespaces=6), 500) if isinstance(e, Ran)]
    assert {event.version for event in events} == {Version.V2019}
    assert len({event.activation.namespace for event in events}) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Mix(junk=1.5),
        lambda: Mix(junk=0.6, duplicates=0.4),
        lambda: Mix(action=0, unrunnable=0, sequence=0, conductor=0, trigger=0),
        lambda: Sizes(median=-1),
        lambda: Sizes(near_limit=0.7, oversized=0.7),
        lambda: Traffic(namespaces=0),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must (not )?be|needs"):
        wrong()


def ledger_and_documents() -> tuple[Ledger, list[dict[str, Any]]]:
    ledger = Traffic(seed=1, mix=Mix(junk=0, duplicates=0)).ledger(20)
    stored = [{**fields, "_rev": "1-a", "updated": 5} for fields in ledger.documents().values()]
    return ledger, stored


def test_a_database_as_it_must_be_has_no_differences() -> None:
    ledger, stored = ledger_and_documents()
    assert not ledger.differences([*stored, {"_id": "_design/whisks.v2.1.0"}])


def test_every_difference_of_a_database_is_found() -> None:
    ledger, stored = ledger_and_documents()
    missing, different = stored.pop(), stored[0]
    stored[0] = {**different, "name": "other"}
    found = ledger.differences([*stored, {"_id": "guest/unknown"}])
    assert found
    assert found.missing == [missing["_id"]]
    assert found.different == [different["_id"]]
    assert found.unexpected == ["guest/unknown"]


def test_what_is_doubtful_may_be_there_or_not() -> None:
    traffic = Traffic(seed=1, mix=Mix(junk=0, duplicates=0))
    ledger = Ledger(traffic.setup)
    [event] = islice(traffic, 1)
    assert not isinstance(event, (Again, Junk))
    ledger.doubt(event)
    assert not ledger.differences([])
    assert not ledger.differences([{"_id": event.activation.document_id}])


def test_a_divergent_record_leaves_the_first_one() -> None:
    traffic = Traffic(seed=1, mix=Mix(junk=0, duplicates=0))
    ledger = Ledger(traffic.setup)
    [event] = islice(traffic, 1)
    assert not isinstance(event, (Again, Junk))
    other = replace(event, activation=event.activation.derive(name="other"))
    ledger.add(event)
    ledger.add(Again(other, divergent=True))
    assert ledger.document(event.activation.document_id)["name"] == event.activation.name
    divergent = Key(Step.STORE, Outcome.DEAD_LETTERED, RejectReason.DIVERGENT)
    assert ledger.outcomes.counts[divergent] == 1


def test_counts_that_are_as_they_must_be_are_none_to_look_at() -> None:
    ledger = Traffic(seed=7, mix=MIX).ledger(300)
    reported = ledger.outcomes.as_json()
    assert miscounted(ledger, reported) == {}
    none = Ledger(Setup()).outcomes.as_json()
    assert miscounted(ledger, reported, none) == {}


def test_duplicates_count_whoever_found_them_and_other_differences_show() -> None:
    ledger = Traffic(seed=7, mix=MIX).ledger(300)
    duplicates = ledger.outcomes.counts[Key(Step.STORE, Outcome.DUPLICATE)]
    reported: Any = ledger.outcomes.as_json()
    reported["store"]["duplicate"] = {"guard": duplicates - 1, "database": 1}
    reported["route"]["dead-lettered"]["not-json"] += 2
    wrong = miscounted(ledger, reported)
    assert list(wrong) == [("route", "dead-lettered", "not-json")]
    [(wanted, found)] = wrong.values()
    assert found == wanted + 2
