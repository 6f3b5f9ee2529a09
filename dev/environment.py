"""Makes the virtual environment `.venv`: `python3 -m dev.environment`.

Runs before anything is installed, so it imports the standard library alone.
"""

import importlib.util
import sys
import venv

from dev import paths
from dev.steps import SetupError, command, exclusive, once, say

OLDEST_PYTHON = (3, 11)
PYTHON = paths.VENV / "bin/python"
REQUIREMENTS = [paths.PROJECT / "requirements.txt", paths.PROJECT / "requirements-dev.txt"]
CONSTRAINTS = paths.PROJECT / "constraints.txt"


def install_environment() -> None:
    """Create `.venv` and install the pinned requirements, unless that was done for these pins.

    Raises:
        SetupError: This Python is too old or lacks venv, or pip failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(f"Python {sys.version.split()[0]} is too old: set PYTHON=python3.11")
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            "this Python has no venv; on Debian and Ubuntu: apt-get install python3-venv"
        )
    pins = [file.read_text() for file in [*REQUIREMENTS, CONSTRAINTS]]
    with exclusive():
        once(
            "Python packages",
            "\n".join([sys.version, *pins]),
            paths.VENV / "installed.stamp",
            _build,
        )


def _build() -> None:
    # An environment of the same Python is kept: somebody may be working in it.
    if not _usable():
        venv.create(paths.VENV, with_pip=True, clear=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    requirements = [argument for file in REQUIREMENTS for argument in ("-r", str(file))]
    command([*pip, "install", "--quiet", *requirements, "-c", str(CONSTRAINTS)])


def _usable() -> bool:
    if not PYTHON.exists():
        return False
    same_version = f"import sys, pip; sys.exit(sys.version != {sys.version!r})"
    try:
        command([PYTHON, "-c", same_version])
    except (SetupError, OSError):
        return False
    return True


if __name__ == "__main__":
    try:
        install_environment()
    except SetupError as error:
        say(str(error))
        sys.exit(1)
