"""One CouchDB stand-in process."""

import http.client
import os
from pathlib import Path

from dev.couchdb.install import MODULES, NODE, SOURCES
from dev.process import HOST, Service, free_port

USER = "admin"
PASSWORD = "admin"  # noqa: S105 - of a database that listens on this machine alone


class CouchDB(Service):
    """A running stand-in.

    Attributes:
        url: `http://user:password@host:port`.
    """

    def __init__(self, folder: Path, *, max_document_size: int | None = None) -> None:
        """Describe the process; `start` starts it.

        Args:
            folder: An existing folder; what an earlier one stored in it is served again.
            max_document_size: Bytes; CouchDB's own default without it.
        """
        port = free_port()
        env = {**os.environ, "NODE_PATH": str(MODULES)}
        if max_document_size is not None:
            env["COUCHDB_MAX_DOCUMENT_SIZE"] = str(max_document_size)
        super().__init__(
            "couchdb",
            [NODE, SOURCES / "server.js", str(port), folder / "couchdb", f"{USER}:{PASSWORD}"],
            port=port,
            folder=folder,
            ready=lambda: is_up(port),
            env=env,
        )
        self.url = f"http://{USER}:{PASSWORD}@{HOST}:{port}"


def is_up(port: int) -> bool:
    """Whether a database at this port answers `GET /_up` with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/_up")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
