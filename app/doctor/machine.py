"""This machine: the data folder, the web endpoint's port, open files."""

import os
from collections.abc import Iterator
from pathlib import Path

from app.doctor.finding import Finding, State
from app.process.errors import StartError
from app.process.preflight import check_port, raise_open_files
from app.settings import WorkerSettings


def examine_machine(settings: WorkerSettings) -> Iterator[Finding]:
    """Look at what a worker needs of the machine that this runs on."""
    yield _folder(settings.datadir)
    what = "web endpoint"
    try:
        check_port(settings.web_host, settings.web_port)
    except StartError as error:
        detail = f"{error}; all is well if that is a worker which runs here already"
        yield Finding(what, State.WARNING, detail)
    else:
        yield Finding(what, State.OK, f"{settings.web_host}, port {settings.web_port} is free")
    try:
        raise_open_files()
    except StartError as error:
        yield Finding("open files", State.WRONG, str(error))


def _folder(folder: Path) -> Finding:
    """Whether it can be written to or made, without making it."""
    place = folder.absolute()
    existing = next(one for one in (place, *place.parents) if one.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Finding("data folder", State.OK, str(folder))
    return Finding(
        "data folder",
        State.WRONG,
        f"{folder} cannot be used: {existing} is not a folder that this user may write to; set "
        "PERSISTER_DATADIR",
    )
