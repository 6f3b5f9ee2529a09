"""What the environment, folder and streams of a process must not do to it.

Faust reads variables that begin with FAUST_ or F_ while it is imported, and dies of some of their
values; Kubernetes sets some of them where a service is called `faust` or `f-web`. None of these
means anything here: what they set has a setting of its own, or is fixed.
"""

import os
import sys
from collections.abc import MutableMapping

from app.process.words import system_reason

_NAMES = ("BLOCKING_TIMEOUT", "CONSOLE_PORT", "LOOP", "WEB_BIND", "WEB_PORT", "WEB_TRANSPORT")

_PREFIXES = ("FAUST_", "F_")

_FOLDERS = tuple(f"{prefix}WORKDIR" for prefix in _PREFIXES)


def open_standard_streams() -> None:
    """Open those of the three streams that whoever started this process has closed, to nowhere.

    Otherwise the next thing that is opened takes such a place, and uvloop ends the process when it
    closes that (libuv holds that the three stay open); what is printed is an error at best.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def forget_faust(environment: MutableMapping[str, str]) -> None:
    """Take out of an environment what Faust would read of it while it is imported."""
    for prefix in _PREFIXES:
        for name in _NAMES:
            environment.pop(prefix + name, None)


def why_no_working_folder(environment: MutableMapping[str, str]) -> str | None:
    """Why a worker cannot work where it is, or where Faust would change to; None: it can."""
    try:
        os.getcwd()  # noqa: PTH109 - `Path.cwd` is the same
    except OSError as error:
        return (
            f"the working folder is not there any more ({system_reason(error)}): start it from "
            "another one"
        )
    for variable in _FOLDERS:
        folder = environment.get(variable)
        if folder and not (os.path.isdir(folder) and os.access(folder, os.X_OK)):  # noqa: PTH112
            return f"{variable}: there is no such folder, or it may not be entered: unset it"
    return None
