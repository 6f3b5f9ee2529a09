"""Alerts and the dashboard name metrics that exist; each alert is proven, and in the runbook."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from app.audit.metrics import render as render_audit
from app.audit.tally import Tally
from dev import paths
from dev.generated.dashboard import WIDTH, expressions, page
from dev.generated.metrics import all_metrics
from openwhisk.gateway.metrics import Metrics
from tests.promtool import needs_promtool, promtool

FOLDER = paths.PROJECT / "deploy" / "prometheus"
RUNBOOK = paths.PROJECT / "docs" / "runbook.md"


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known_series() -> set[str]:
    return set().union(*(metric.series() for metric in all_metrics()))


def named(expression: str) -> set[str]:
    """The metrics in an expression."""
    without_labels = re.sub(r"\{[^}]*\}", "", expression)
    return set(re.findall(r"\b(?:persister|gateway)_\w+", without_labels))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_names_metrics_that_exist(alert: dict[str, Any]) -> None:
    assert named(alert["expr"])
    assert named(alert["expr"]) <= known_series()
    assert alert["labels"]["severity"] in {"critical", "warning"}


def test_each_alert_has_an_entry_in_the_runbook_and_links_to_it() -> None:
    entries = re.findall(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert [alert["alert"] for alert in alerts()] == entries
    for alert in alerts():
        linked = alert["annotations"]["runbook"]
        assert linked == f"docs/runbook.md#{alert['alert'].lower()}"


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    names = {alert["alert"] for alert in alerts()}
    assert firing == names
    assert silent == names


def test_the_dashboard_names_metrics_that_exist() -> None:
    process = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    queries = list(expressions())
    shown = set().union(*map(named, queries))
    assert shown
    assert shown <= known_series() | process


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(page())["panels"]
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in panels)
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < WIDTH


def test_the_runbook_names_commands_settings_and_metrics_that_exist() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    assert named(text) <= known_series() | {metric.name for metric in all_metrics()}


@needs_promtool
def test_promtool_finds_the_rules_right() -> None:
    promtool("check", "rules", FOLDER / "rules.yml")
    promtool("test", "rules", FOLDER / "rules_test.yml")


@needs_promtool
def test_promtool_finds_the_metrics_of_audit_and_gateway_right() -> None:
    promtool("check", "metrics", given=render_audit(Tally(0.0)))
    idle: Any = SimpleNamespace(in_flight=0, size=0, away_since=None, fits=True)
    gateway = Metrics(idle, idle, idle, idle, idle)
    gateway.requests.labels("bulk", 201).inc()
    promtool("check", "metrics", given=generate_latest(gateway.registry))
