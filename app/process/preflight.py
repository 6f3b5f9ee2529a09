"""Checks at start-up what a worker needs of its machine.

Without these checks, the start would end in a traceback through the frameworks or, with too few
open files, the worker would fail much later.
"""

import logging
import os
import resource
import socket
from pathlib import Path

from app.process.errors import StartError

logger = logging.getLogger(__name__)

LEAST_OPEN_FILES = 256
"""Connections to brokers, to the database and of the web endpoint, and some to spare."""

PRIVATE = 0o700


def prepare_folder(folder: Path) -> None:
    """Make the data folder, if it is missing, and let nobody else look into it.

    One that root owns is left as it is: so an orchestrator mounts volumes.

    Raises:
        StartError: it cannot be made or written to, or is somebody else's link.
    """
    ours = (os.geteuid(), 0)
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if folder.is_symlink() and folder.lstat().st_uid not in ours:
            raise StartError(_unusable(folder, "it is a link that another user has made"))
        owner = folder.stat().st_uid
        if owner == os.geteuid():
            folder.chmod(PRIVATE)
        elif owner not in ours:
            logger.warning(
                "The data folder %s belongs to another user (%d), who may change what is in it: "
                "give the worker one of its own (PERSISTER_DATADIR)",
                *(folder, owner),
            )
    except OSError as error:
        raise StartError(_unusable(folder, error.strerror)) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartError(_unusable(folder, "it may not be written to"))


def _unusable(folder: Path, why: str | None) -> str:
    return (
        f"the data folder {folder} cannot be used ({why}): set PERSISTER_DATADIR to a folder that "
        "this user may write to"
    )


def check_port(host: str, port: int) -> None:
    """Check that the web endpoint will be able to listen.

    Raises:
        StartError: it will not: another process does, or the address is not this machine's.
    """
    why = why_not_to_be_had(host, port)
    if why:
        raise StartError(
            f"the web endpoint cannot listen on {host}, port {port} ({why}): choose another with "
            "PERSISTER_WEB_PORT or --web-port (each worker of a machine needs its own), or another "
            "address with PERSISTER_WEB_HOST"
        )


def why_not_to_be_had(host: str, port: int) -> str | None:
    """Why nothing can listen on an address of this machine; None: something can."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As a web server does it: connections of one that has just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


def raise_open_files() -> None:
    """Allow this process as many open files as its user may have.

    Raises:
        StartError: they are too few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        raise StartError(
            f"only {hard} files may be open at a time, and a worker needs {LEAST_OPEN_FILES}: "
            "raise the limit (ulimit -Hn, or LimitNOFILE= of the service)"
        )
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
