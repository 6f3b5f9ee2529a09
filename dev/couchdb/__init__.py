"""A stand-in for CouchDB on this machine; docs of its limits are in `refusals.js`."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from dev.couchdb.install import install_couchdb
from dev.couchdb.server import CouchDB
from dev.folders import folder_or_temporary

__all__ = ["CouchDB", "couchdb", "install_couchdb"]


@contextlib.contextmanager
def couchdb(
    folder: Path | None = None, *, max_document_size: int | None = None
) -> Iterator[CouchDB]:
    """Install the stand-in if needed, start it, and stop it at the end.

    Args:
        folder: Where its data stay afterwards; a temporary one without it.
        max_document_size: Bytes; CouchDB's own default without it.

    Raises:
        SetupError: It cannot be installed or does not start.
    """
    install_couchdb()
    with folder_or_temporary(folder, prefix="couchdb-") as home:
        database = CouchDB(home, max_document_size=max_document_size)
        try:
            database.start()
            yield database
        finally:
            database.stop()
