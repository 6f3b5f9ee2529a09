"""Pages and files that are made from the code: `make generated` writes them, a test compares."""

from collections.abc import Callable, Mapping
from pathlib import Path

from dev import paths
from dev.generated import metrics

GENERATED: Mapping[Path, Callable[[], str]] = {
    paths.PROJECT / "docs" / "metrics.md": metrics.page,
}
"""What each file must hold."""
