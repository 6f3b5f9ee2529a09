"""Makes `docs/metrics.md`: `python -m app.monitoring.reference > docs/metrics.md`."""

import sys

from app.monitoring.metrics import METRICS, Counter

_INTRODUCTION = """\
# Metrics

What `/metrics` of a worker shows. This page is made by `python -m app.monitoring.reference`; a test
compares the two.

A counter, and each label value that is known beforehand, is there at zero from the start, so that
the first loss is an increase. A histogram `x` is shown as `x_bucket`, `x_sum` and `x_count`. Lag
and age are what Kafka said a few seconds ago; the page itself asks nobody.
`process_*` are those of the Prometheus client: CPU, memory, open files, start time.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The page, as it should be."""
    lines = []
    for metric in METRICS:
        name = f"{metric.name}_total" if isinstance(metric, Counter) else metric.name
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{name}` | {metric.kind} | {labels} | {metric.text} |\n")
    return _INTRODUCTION + "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
