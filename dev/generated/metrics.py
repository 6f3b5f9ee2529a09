"""`docs/metrics.md`: every metric of the worker, the standing audit and the gateway."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from app.audit.metrics import METRICS as AUDIT
from app.monitoring.definitions import Metrics
from app.monitoring.metrics import METRICS as WORKER
from openwhisk.gateway.metrics import Metrics as GatewayMetrics

_INTRODUCTION = """\
# Metrics

This page is made from the code by `make generated`; a test compares the two.

Counters start at zero, with every label value that is known beforehand, so that `increase()` sees
the first loss. A histogram `x` has the series `x_bucket`, `x_sum` and `x_count`. Each process also
exports the Prometheus client's `process_*`: CPU, memory, open files, start time.

`deploy/grafana/persister.json` is a dashboard. `deploy/prometheus/rules.yml` has alerts;
[the runbook](runbook.md) says what to do about each.
"""

_SECTIONS = (
    (
        "Worker",
        (
            "`/metrics` of a worker, port 6066. Lag and age are a few seconds old. The metrics\n"
            "`persister_namespace_*` are about stored activations, and only of the namespaces in\n"
            "`PERSISTER_METRICS_NAMESPACES`."
        ),
    ),
    ("Standing audit", "`/metrics` of `persister audit --every`, port 6067."),
    ("Gateway", "`/_gateway/metrics` of the gateway."),
)


class Shown(NamedTuple):
    """A metric as the page describes it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    def series(self) -> set[str]:
        """The names that a query may use."""
        if self.kind == "histogram":
            return {f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
        return {self.name}


def page() -> str:
    """The page, as it should be."""
    lists = (defined(WORKER), defined(AUDIT), gateway())
    return _INTRODUCTION + "".join(
        f"\n## {heading}\n\n{text}\n\n{_table(metrics)}"
        for (heading, text), metrics in zip(_SECTIONS, lists, strict=True)
    )


def all_metrics() -> list[Shown]:
    """The metrics of every process."""
    return [*defined(WORKER), *defined(AUDIT), *gateway()]


def defined(metrics: Metrics[Any]) -> list[Shown]:
    """The metrics of one of our own lists."""
    return [Shown(one.shown, one.kind, one.labels, one.text) for one in metrics]


def gateway() -> list[Shown]:
    """The metrics of the gateway, which the Prometheus client keeps."""
    nothing = cast("Any", SimpleNamespace())
    registry = GatewayMetrics(nothing, nothing, nothing, nothing, nothing).registry
    return list(_kept(registry._collector_to_names))  # noqa: SLF001 - it lists them nowhere else


def _kept(collectors: Iterable[object]) -> Iterator[Shown]:
    for one in collectors:
        if describe := getattr(one, "describe", None):  # all but those of the process
            (family,) = describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = tuple(getattr(one, "_labelnames", ()))
            yield Shown(name, family.type, labels, family.documentation.rstrip("."))


def _table(metrics: Iterable[Shown]) -> str:
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for name, kind, labels, text in metrics:
        listed = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {listed} | {text} |")
    return "\n".join(lines) + "\n"
