"""A stand-in for CouchDB on this machine: the same answers, as far as the persister relies on them.

It differs where numbers pass through JavaScript (integers over 2^53 and `1.0` are not kept as
written), in how a revision is made, and in lacking `_purge`, `_revs_limit`, `_node`, sessions by
cookie and `If-None-Match`.
"""

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
