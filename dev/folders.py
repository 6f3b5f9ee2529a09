"""Folders for the data of services."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def folder_or_temporary(folder: Path | None, *, prefix: str) -> Iterator[Path]:
    """Yield the folder, created if missing, or a temporary one that is deleted at the end."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix=prefix) as temporary:
        yield Path(temporary).resolve()
