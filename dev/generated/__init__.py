"""Pages and files that are made from the code: `make generated` writes them, a test compares."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dev import paths
from dev.generated import commands, dashboard, json_schema, metrics, settings, status

GENERATED: Mapping[Path, Callable[[], str]] = {
    paths.PROJECT / "docs" / "commands.md": commands.page,
    paths.PROJECT / "docs" / "commands.schema.json": json_schema.page,
    paths.PROJECT / "docs" / "metrics.md": metrics.page,
    paths.PROJECT / "docs" / "settings.md": settings.page,
    paths.PROJECT / "docs" / "status.md": status.page,
    paths.PROJECT / "deploy" / "grafana" / "persister.json": dashboard.page,
}
"""What each file must hold."""
