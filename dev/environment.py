"""Makes the virtual environment `.venv`: `python3 -m dev.environment`.

Runs before anything is installed, so it imports the standard library alone. uv installs the rest,
from the lock with hashes; where there is no uv, pip fetches it first.
"""

import importlib.util
import re
import shutil
import sys
import venv
from pathlib import Path

from dev import paths
from dev.indexes import inherited
from dev.steps import SetupError, command, exclusive, is_done, once, say

OLDEST_PYTHON = (3, 11)
PYTHON = paths.VENV / "bin/python"
LOCK = paths.PROJECT / "requirements-dev.lock"
UV_HOME = paths.HOME / "uv"
COMMAND = paths.VENV / "bin/persister"
COMMAND_TEXT = f"""#!{PYTHON}
import sys

sys.path.insert(0, {str(paths.PROJECT)!r})
from app.commands.main import main

main()
"""
"""What an installation would put there, for this checkout as it stands."""


def install_environment() -> None:
    """Create `.venv` and install the lock's packages, unless that was done for this lock.

    Raises:
        SetupError: This Python is too old, there is no way to get uv, or an installation failed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(f"Python {sys.version.split()[0]} is too old: set PYTHON=python3.11")
    lock = LOCK.read_text(encoding="utf-8")
    key, stamp = f"{sys.version}\n{lock}", paths.VENV / "installed.stamp"
    if not is_done(key, stamp):
        with exclusive("environment"):
            count = len(re.findall(r"^\S+==", lock, re.MULTILINE))
            once(f"up to {count} Python packages", key, stamp, lambda: _build(lock))
    if not COMMAND.exists() or COMMAND.read_text(encoding="utf-8") != COMMAND_TEXT:
        COMMAND.write_text(COMMAND_TEXT, encoding="utf-8")
        COMMAND.chmod(0o755)


def _build(lock: str) -> None:
    uv, environment = _uv(lock), inherited()
    # An environment of the same Python is kept: somebody may be working in it.
    if not _usable():
        shutil.rmtree(paths.VENV, ignore_errors=True)
        command([*uv, "venv", "--quiet", "--python", sys.executable, paths.VENV], env=environment)
    command(
        [*uv, "pip", "install", "--quiet", "--require-hashes", "--python", PYTHON, "-r", LOCK],
        env=environment,
    )


def _usable() -> bool:
    if not PYTHON.exists():
        return False
    same_version = f"import sys; sys.exit(sys.version != {sys.version!r})"
    try:
        command([PYTHON, "-c", same_version])
    except (SetupError, OSError):
        return False
    return True


def _uv(lock: str) -> list[str | Path]:
    """The uv command: this machine's, or the locked version fetched by pip."""
    if found := shutil.which("uv"):
        return [found]
    pinned = _entry(lock, "uv")
    requirements = UV_HOME / "requirements.txt"
    if not (requirements.exists() and requirements.read_text(encoding="utf-8") == pinned):
        shutil.rmtree(UV_HOME, ignore_errors=True)
        UV_HOME.mkdir(parents=True)
        unfinished = requirements.with_suffix(".part")
        unfinished.write_text(pinned, encoding="utf-8")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        command([*_pip(), "install", *options, "--target", UV_HOME, "-r", unfinished])
        unfinished.rename(requirements)
    return [UV_HOME / "bin/uv"]


def _pip() -> list[str | Path]:
    """The pip command: this Python's own, or one in a temporary environment."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            "there is neither uv nor pip nor venv here; on Debian and Ubuntu: "
            "apt-get install python3-venv"
        )
    home = paths.HOME / "pip"
    venv.create(home, with_pip=True, clear=True)
    return [home / "bin/python", "-m", "pip"]


def _entry(lock: str, name: str) -> str:
    """A package's entry in the lock, with its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n    .*)*", lock, re.MULTILINE)
    if found is None:
        raise SetupError(f"{LOCK.name} has no {name}: `make lock` makes it anew")
    return found[0] + "\n"


if __name__ == "__main__":
    try:
        install_environment()
    except SetupError as error:
        say(str(error))
        sys.exit(1)
