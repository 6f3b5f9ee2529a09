"""Checks this machine: the data folder, the web endpoint's port, open files."""

import errno
import http.client
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.doctor.finding import Finding, State
from app.process.errors import StartError
from app.process.hosts import reachable
from app.process.preflight import check_port, raise_open_files
from app.process.words import system_reason
from app.settings import WorkerSettings

ANSWER_SECONDS = 2.0
LONGEST_ANSWER = 1000

PROBE_BYTES = 64 * 1024
"""Written to the data folder, and gone again at once."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FULL = (
    "its disk is full. A worker runs all the same, for it keeps nothing there; its log may have "
    "nowhere to go"
)


def examine_machine(settings: WorkerSettings) -> Iterator[Finding]:
    """Look at what a worker needs of the machine that this runs on."""
    yield _folder(settings.datadir)
    what = "web endpoint"
    try:
        check_port(settings.web_host, settings.web_port)
    except StartError as error:
        if _is_a_worker(settings):
            where = f"{settings.web_host}, port {settings.web_port}"
            yield Finding(what, State.OK, f"{where}: a worker answers there")
        else:
            yield Finding(what, State.WRONG, str(error))
    else:
        yield Finding(what, State.OK, f"{settings.web_host}, port {settings.web_port} is free")
    try:
        raise_open_files()
    except StartError as error:
        yield Finding("open files", State.WRONG, str(error))


def _is_a_worker(settings: WorkerSettings) -> bool:
    """Whether what listens there is a worker, which runs already."""
    host = reachable(settings.web_host)
    connection = http.client.HTTPConnection(host, settings.web_port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/live")
        return bool(json.loads(connection.getresponse().read(LONGEST_ANSWER)) == {"live": True})
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _folder(folder: Path) -> Finding:
    """Whether it can be written to or made, without making it."""
    try:
        place = folder.absolute()
    except OSError as error:
        detail = (
            f"the working folder is not there any more ({system_reason(error)}): start from "
            "another one, or set PERSISTER_DATADIR to an absolute path"
        )
        return Finding("data folder", State.WRONG, detail)
    existing = next(one for one in (place, *place.parents) if one.exists())
    try:
        # What rights say is not all: the disk may be full, or of a kind that takes no files.
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        if error.errno in NO_ROOM:
            return Finding("data folder", State.WARNING, f"{existing}: {FULL}")
        detail = (
            f"{folder} cannot be used: {existing} takes no files ({system_reason(error)}); set "
            "PERSISTER_DATADIR to a folder that this user may write to"
        )
        return Finding("data folder", State.WRONG, detail)
    return Finding("data folder", State.OK, str(folder))
