"""Which namespaces and actions come most."""

import json
import tracemalloc
from random import Random
from typing import Any

import pytest

from app.monitoring import activity
from app.monitoring.activity import (
    LONGEST,
    MOST_MILLIS,
    OTHERS,
    Activity,
    Chosen,
    Runs,
    Watched,
    first,
)
from app.monitoring.heavy import HeavyHitters
from app.storing.sink import Document


@pytest.fixture
def every_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each document."""
    monkeypatch.setattr(activity, "EVERY", 1)


def document(namespace: str = "guest", name: str = "hello", **changes: Any) -> Document:
    fields = {
        "namespace": namespace,
        "name": name,
        "start": 1000,
        "end": 3000,
        "response": {"statusCode": 0, "result": {"name": "hidden", "statusCode": 3}},
        "annotations": [
            {"key": "limits", "value": {"memory": 256}},
            {"key": "path", "value": f"{namespace}/package/{name}"},
            {"key": "waitTime", "value": 500},
        ],
        **changes,
    }
    return Document(f"{namespace}/{0:032x}", json.dumps(fields).encode())


@pytest.mark.usefixtures("every_one")
def test_runs_failures_and_times_are_counted_by_namespace_and_action() -> None:
    found = Activity()
    found.observe([document(), document(response={"statusCode": 2}), document("other", "x")])
    shown = found.as_json()
    assert list(shown["namespaces"]) == ["guest", "other"]
    assert shown["actions"]["guest/package/hello"] == {
        "runs": 2,
        "at_most_too_many": 0,
        "failures": 1,
        "mean_wait_seconds": 0.5,
        "mean_run_seconds": 2.0,
    }


@pytest.mark.usefixtures("every_one")
@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": [{"key": "waitTime", "value": "long"}, {"key": "path", "value": 7}]},
        {"annotations": [{"key": "waitTime", "value": -5}]},
        {"annotations": [{}]},
        {"end": 0},
        {"start": "2026-01-02T03:04:05Z"},
        {"response": None},
        {"name": "x" * 100_000},
    ],
)
def test_any_document_is_taken_and_its_names_are_bounded(changes: dict[str, Any]) -> None:
    found = Activity()
    found.observe([document(**changes), Document("a/b", b"[" * 100_000), Document("a/b", b"")])
    assert all(len(name) <= LONGEST for name in found.as_json()["actions"])


@pytest.mark.usefixtures("every_one")
def test_a_million_annotations_are_not_built() -> None:
    found, one = Activity(), document()
    many = Document(one.id, one.body[:-1] + b',"annotations":[' + b"{}," * 1_000_000 + b"{}]}")
    tracemalloc.start()
    try:
        found.observe([many])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000
    assert found.as_json()["actions"]


@pytest.mark.usefixtures("every_one")
def test_those_that_fail_or_wait_most_are_shown_although_others_run_more() -> None:
    found = Activity()
    for name, runs in (("busy", 40), ("usual", 30), ("broken", 3), ("late", 2), ("rare", 1)):
        waited = 60_000 if name == "late" else 0
        status = 2 if name == "broken" else 0
        one = document(
            name=name,
            response={"statusCode": status},
            annotations=[{"key": "waitTime", "value": waited}],
        )
        found.observe([one] * runs)
    shown = [row.name for row in first(found.actions, 1)]
    assert shown == ["guest/busy", "guest/broken", "guest/late"]


def test_about_one_document_in_so_many_is_read_and_the_sum_is_right() -> None:
    found = Activity()
    for _ in range(2000):
        found.observe([document(), document(), document()])
    (row,) = found.as_json()["namespaces"].values()
    assert 5000 < row["runs"] < 7000


def test_what_comes_often_stays_however_much_comes_once() -> None:
    found: HeavyHitters[Runs] = HeavyHitters(Runs, 10)
    random = Random(1)  # noqa: S311 - the same each time
    for number in range(20_000):
        key = f"often{number % 5}" if random.random() < 0.6 else f"once{number}"
        found.of(key).runs += 1
        assert len(found) <= 20
    top = dict(found.items()[:5])
    assert set(top) == {f"often{number}" for number in range(5)}
    for row in top.values():
        assert row.runs - row.unsure <= 2600
        assert row.runs >= 2200


def test_chosen_namespaces_are_counted_one_by_one() -> None:
    chosen = Chosen({"guest", "never"})
    chosen.observe([document(), document(response={"statusCode": 1}), document("other")])
    assert chosen.activations["guest"]["success"] == 1
    assert chosen.activations["guest"]["application error"] == 1
    assert chosen.activations["never"].total() == 0
    assert set(chosen.activations) == {"guest", "never"}
    assert chosen.waits["guest"].total == 1.0
    assert chosen.durations["guest"].total == 4.0


def test_actions_and_cold_starts_of_chosen_namespaces_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(activity, "ACTIONS", 2)
    chosen = Chosen({"guest"})
    cold = [{"key": "initTime", "value": 250}]
    chosen.observe(
        [
            document(name="a", annotations=cold),
            *(document(name=name, annotations=[]) for name in "abcd"),
        ]
    )
    assert chosen.actions["guest"] == {"guest/a": 2, "guest/b": 1, OTHERS: 2}
    assert chosen.cold_starts["guest"] == 1
    assert chosen.inits["guest"].total == 0.25


def test_it_is_off_by_a_setting() -> None:
    watched = Watched(activity=False, namespaces=())
    watched.stored([document()])
    assert watched.activity is None


@pytest.mark.usefixtures("every_one")
@pytest.mark.parametrize(
    "body",
    [
        b'{"namespace":"guest","end":%b}' % (b"9" * 400),
        b'{"namespace":"guest","annotations":[{"key":"waitTime","value":1e308}]}',
        b'{"namespace":"guest","annotations":[{"key":"path","value":"\xff"}]}',
        b'{"namespace":"\xff"}',
    ],
)
def test_one_record_spoils_nothing(body: bytes) -> None:
    found, chosen = Activity(), Chosen(["guest"])
    documents = [Document("guest/1", body)] * 20
    found.observe(documents)
    chosen.observe(documents)
    for row in found.as_json()["namespaces"].values():
        assert row["mean_wait_seconds"] + row["mean_run_seconds"] <= MOST_MILLIS / 1000
    assert chosen.durations["guest"].total <= 20 * MOST_MILLIS / 1000
