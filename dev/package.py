"""`make package`: a wheel and an sdist in `dist/`, and a look at what is in them."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dev import paths
from dev.indexes import inherited
from dev.steps import SetupError, command, say

DIST = paths.PROJECT / "dist"
LOCK = paths.PROJECT / "requirements-build.lock"
"""Of what builds both; whatever else an index offers is refused."""

PACKAGES = ("agents", "app", "models", "openwhisk")

_AROUND = {
    *("LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"),
    *("requirements.txt", "requirements.lock"),
    *("requirements-tracing.txt", "requirements-tracing.lock"),
}
"""What an sdist holds besides the packages."""


def build() -> list[Path]:
    """Build both, from nothing that an earlier build left behind.

    The same commit gives the same wheel: its files carry the time of the commit.

    Raises:
        SetupError: a build failed, or something is missing from what it made, or too much.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    _forget_earlier_builds()
    made_at = _time_of_commit()
    locked: list[str | Path] = ["--build-constraints", LOCK, "--require-hashes"]
    command(
        [sys.executable, "-m", "uv", "build", "--quiet", *locked, "--out-dir", DIST, paths.PROJECT],
        env={**inherited(), **({"SOURCE_DATE_EPOCH": made_at} if made_at else {})},
    )
    _forget_earlier_builds()
    built = sorted(DIST.glob("*-*"))
    if found := [line for one in built for line in differences(one, _tree())]:
        raise SetupError("\n".join(found))
    return built


def differences(built: Path, expected: set[str]) -> Iterator[str]:
    """What a wheel or an sdist lacks, and what it has that does not belong there, a line each.

    Args:
        built: the file.
        expected: paths of the files of all packages, in the project.
    """
    if built.suffix == ".whl":
        with zipfile.ZipFile(built) as wheel:
            names = set(wheel.namelist())
        strange = {name for name in names - expected if ".dist-info/" not in name}
    else:
        with tarfile.open(built) as sdist:
            names = {_below_root(file.name) for file in sdist if file.isfile()}
        strange = {name for name in names - expected - _AROUND if ".egg-info/" not in name}
        expected = expected | _AROUND
    yield from (f"{built.name} lacks {name}" for name in sorted(expected - names))
    yield from (f"{built.name} has {name}, which does not belong there" for name in sorted(strange))


def _below_root(name: str) -> str:
    return str(PurePosixPath(*PurePosixPath(name).parts[1:]))


def _tree() -> set[str]:
    return set(_files(paths.PROJECT / package for package in PACKAGES))


def _files(folders: Iterable[Path]) -> Iterator[str]:
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(paths.PROJECT).as_posix()


def _forget_earlier_builds() -> None:
    # setuptools takes up again whatever a list of sources in them names.
    for leftover in (paths.PROJECT / "build", *paths.PROJECT.glob("*.egg-info")):
        shutil.rmtree(leftover, ignore_errors=True)


def _time_of_commit() -> str | None:
    """Epoch seconds; None outside a repository."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    if shutil.which("git") is None:
        return None
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%ct"],  # noqa: S607 - wherever it is installed
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or None


def main() -> int:
    """Build both, and say how large they are."""
    try:
        built = build()
    except SetupError as error:
        say(str(error))
        return 1
    for one in built:
        say(f"{one.relative_to(paths.PROJECT)}: {one.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
