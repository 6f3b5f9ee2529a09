"""`deploy/grafana/persister.json`: first whether all is well, and then why not."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

WIDTH = 24
"""Columns of a Grafana dashboard."""

_STATS, _GRAPHS = 6, 3
"""Panels beside one another."""

_STAT_HEIGHT, _GRAPH_HEIGHT = 4, 8

Panel = dict[str, Any]


class Query(NamedTuple):
    """What is shown, and what a line of it is called."""

    expression: str
    legend: str = ""


class Stat(NamedTuple):
    """One number, green up to a bound."""

    title: str
    expression: str
    red_from: float
    unit: str = "none"
    red_below: bool = False


class Graph(NamedTuple):
    """Lines over time."""

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    stacked: bool = False


def _rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{labels}[$__rate_interval]))"


def _quantile(metric: str, share: float, by: str = "") -> str:
    kept = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', kept)})"


def _latency(metric: str) -> list[Query]:
    return [Query(_quantile(metric, share), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


_IS_ALL_WELL = (
    Stat("Workers that are ready", "sum(persister_ready)", 1, red_below=True),
    Stat("Partitions that nobody reads", "max(persister_partitions_without_reader)", 1),
    Stat("Kafka answers", "min(persister_kafka_up)", 1, red_below=True),
    Stat("Database takes no documents", "max(persister_database_down)", 1),
    Stat("Oldest unfinished record", "max(persister_oldest_unfinished_age_seconds)", 900, "s"),
    Stat(
        "Kafka deletes unread in",
        "min(persister_retention_seconds_left)",
        1500,
        "s",
        red_below=True,
    ),
    Stat(
        "Set aside, 24 h",
        'sum(increase(persister_records_total{outcome="dead-lettered"}[24h]))',
        1,
    ),
    Stat(
        "Lost to retention, 24 h",
        "sum(increase(persister_records_lost_to_retention_total[24h]))",
        1,
    ),
    Stat("Topics paused", "sum(persister_breaker_open)", 1),
    Stat("Reasons that pause storing", "max(persister_store_breaker_open)", 1),
    Stat("Documents under diagnosis", "sum(persister_documents_under_diagnosis)", 1),
    Stat(
        "Audit: unchecked for",
        "time() - min(persister_audit_oldest_unchecked_timestamp_seconds)",
        10_800,
        "s",
    ),
)

_RECORDS = (
    Graph(
        "Records by step", [Query(_rate("persister_records_consumed_total", "step"), "{{step}}")]
    ),
    Graph(
        "What becomes of them",
        [Query(_rate("persister_records_total", "outcome"), "{{outcome}}")],
        stacked=True,
    ),
    Graph(
        "Set aside and skipped, by reason",
        [
            Query(
                _rate("persister_records_total", "outcome, reason", '{outcome=~"dead.*|skip.*"}'),
                "{{outcome}}: {{reason}}",
            )
        ],
    ),
    Graph("Lag in records", [Query("sum by (topic) (persister_lag_records)", "{{topic}}")]),
    Graph(
        "Oldest unfinished record",
        [Query("max by (topic) (persister_oldest_unfinished_age_seconds)", "{{topic}}")],
        "s",
    ),
    Graph("Work of partitions", [Query("sum by (work) (persister_partitions)", "{{work}}")]),
)

_LATENCY = (
    Graph(
        "End of an activation until it is stored",
        _latency("persister_activation_latency_seconds"),
        "s",
    ),
    Graph(
        "Each step, p95",
        [Query(_quantile("persister_step_latency_seconds", 0.95, "step"), "{{step}}")],
        "s",
    ),
    Graph("Database requests", _latency("persister_database_request_duration_seconds"), "s"),
)

_WRITTEN = "persister_database_documents_written"
_COMPARED = "persister_database_conflicts_read_back"

_DATABASE = (
    Graph(
        "Requests by status",
        [Query(_rate("persister_database_requests_total", "status"), "{{status}}")],
    ),
    Graph(
        "Repeated, by cause",
        [Query(_rate("persister_database_retries_total", "cause"), "{{cause}}")],
    ),
    Graph(
        "Requests in flight, and how many may be",
        [
            Query("sum(persister_database_requests_in_flight)", "in flight"),
            Query("sum(persister_database_requests_limit)", "limit"),
        ],
    ),
    Graph(
        "Documents waiting and in flight",
        [
            Query("sum(persister_database_documents_waiting)", "waiting"),
            Query("sum(persister_in_flight_documents)", "in flight"),
        ],
    ),
    Graph("Bytes in flight", [Query("sum(persister_in_flight_bytes)", "bytes")], "bytes"),
    Graph(
        "Documents written and compared",
        [
            Query(f"sum(rate({_WRITTEN}_total[$__rate_interval]))", "written"),
            Query(f"sum(rate({_COMPARED}_total[$__rate_interval]))", "compared"),
        ],
    ),
)

_PROOF = (
    Graph(
        "Activations judged for good, an hour",
        [Query("sum by (ending) (increase(persister_audit_activations_total[1h]))", "{{ending}}")],
        stacked=True,
    ),
    Graph(
        "Rounds",
        [Query("sum by (result) (increase(persister_audit_rounds_total[1h]))", "{{result}}")],
    ),
    Graph(
        "Deleted by Kafka, unchecked",
        [Query("sum(increase(persister_audit_records_missed_total[1h]))", "records")],
    ),
)

_GATEWAY = (
    Graph(
        "Requests", [Query(_rate("gateway_requests_total", "kind, status"), "{{kind}} {{status}}")]
    ),
    Graph("Until Kafka acknowledged", _latency("gateway_publish_seconds"), "s"),
    Graph(
        "Not stored, past Kafka, early",
        [
            Query(_rate("gateway_refused_writes_total", "cause"), "refused: {{cause}}"),
            Query("sum(rate(gateway_direct_records_total[$__rate_interval]))", "to CouchDB"),
            Query("sum(rate(gateway_early_reads_total[$__rate_interval]))", "early reads"),
        ],
    ),
)

_PROCESS = (
    Graph("CPU", [Query("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}")]),
    Graph("Memory", [Query("process_resident_memory_bytes", "{{instance}}")], "bytes"),
    Graph("Records that the guard remembers", [Query("sum(persister_guard_records)", "records")]),
)

_ROWS = (
    ("Records", _RECORDS),
    ("Latency", _LATENCY),
    ("Database", _DATABASE),
    ("Proof", _PROOF),
    ("Gateway", _GATEWAY),
    ("Processes", _PROCESS),
)


def page() -> str:
    """The dashboard as Grafana imports it."""
    dashboard = {
        "uid": "activation-persister",
        "title": "Activation persister",
        "tags": ["openwhisk", "kafka", "couchdb"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": [{**panel, "id": number} for number, panel in enumerate(_panels(), start=1)],
    }
    return json.dumps(dashboard, indent=2) + "\n"


def expressions() -> Iterator[str]:
    """Every query of the dashboard."""
    for stat in _IS_ALL_WELL:
        yield stat.expression
    for _, graphs in _ROWS:
        for graph in graphs:
            yield from (query.expression for query in graph.queries)


def _panels() -> Iterator[Panel]:
    top = 0
    for number, stat in enumerate(_IS_ALL_WELL):
        place = _place(number, _STATS, _STAT_HEIGHT, top)
        yield {**_stat(stat), "gridPos": place}
    top += _STAT_HEIGHT * -(-len(_IS_ALL_WELL) // _STATS)
    for title, graphs in _ROWS:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"type": "row", "title": title, "gridPos": place, "panels": []}
        top += 1
        for number, graph in enumerate(graphs):
            yield {**_graph(graph), "gridPos": _place(number, _GRAPHS, _GRAPH_HEIGHT, top)}
        top += _GRAPH_HEIGHT * -(-len(graphs) // _GRAPHS)


def _place(number: int, beside: int, height: int, top: int) -> dict[str, int]:
    width = WIDTH // beside
    row, column = divmod(number, beside)
    return {"x": column * width, "y": top + row * height, "w": width, "h": height}


def _panel(kind: str, title: str, queries: Sequence[Query]) -> Panel:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "type": kind,
        "title": title,
        "datasource": source,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": source,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(queries)
        ],
    }


def _stat(stat: Stat) -> Panel:
    first, then = ("red", "green") if stat.red_below else ("green", "red")
    steps = [{"color": first, "value": None}, {"color": then, "value": stat.red_from}]
    return {
        **_panel("stat", stat.title, [Query(stat.expression)]),
        "fieldConfig": {
            "defaults": {
                "unit": stat.unit,
                "noValue": "-",
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _graph(graph: Graph) -> Panel:
    custom: dict[str, Any] = {"fillOpacity": 10, "showPoints": "never"}
    if graph.stacked:
        custom["stacking"] = {"mode": "normal"}
    return {
        **_panel("timeseries", graph.title, graph.queries),
        "fieldConfig": {
            "defaults": {"unit": graph.unit, "min": 0, "custom": custom},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
    }
