"""Reports what a run of the retention removed, for people, programs and Prometheus."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from app.expiry.removal import Progress
from models.instants import iso


def as_text(progress: Progress, *, dry_run: bool) -> str:
    """One or two sentences."""
    before = f"began before {iso(progress.cutoff, 'seconds')}"
    if not progress.found:
        return f"Nothing to remove: no activation {before}."
    oldest = "" if progress.oldest is None else f", the oldest on {iso(progress.oldest, 'seconds')}"
    found = f"{_activations(progress.found)} {before}{oldest}."
    if dry_run:
        return f"{found} Nothing was removed (--dry-run)."
    how = f" ({progress.method})" if progress.method else ""
    text = f"{found} {_activations(progress.removed)} removed{how}."
    if progress.changed:
        text += f" {progress.changed} had been changed or removed meanwhile and were left alone."
    return text


def as_json(progress: Progress, *, dry_run: bool) -> dict[str, object]:
    """The same for programs; times are ISO-8601 in UTC."""
    return {
        "before": iso(progress.cutoff, "seconds"),
        "found": progress.found,
        "oldest": None if progress.oldest is None else iso(progress.oldest, "seconds"),
        "method": progress.method,
        "removed": progress.removed,
        "changed": progress.changed,
        "dry_run": dry_run,
    }


def write_metrics(path: Path, progress: Progress, *, ended: float) -> None:
    """Write what node_exporter's textfile collector reads, in one step.

    Args:
        path: Must end with `.prom` to be read.
        progress: Of a run that ended well.
        ended: Epoch seconds.

    Raises:
        OSError: The file cannot be written.
    """
    registry = CollectorRegistry()
    for name, about, value in (
        ("found", "Activations that were old enough when the last run began.", progress.found),
        ("removed", "Activations that the last run removed.", progress.removed),
        ("changed", "Old activations that changed meanwhile and stay.", progress.changed),
        ("last_success_timestamp_seconds", "When the last run ended well.", ended),
    ):
        Gauge(f"persister_expiry_{name}", about, registry=registry).set(value)
    write_to_textfile(str(path), registry)


def _activations(count: int) -> str:
    return "1 activation" if count == 1 else f"{count:,} activations"
