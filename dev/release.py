"""`make release`: everything that is published of a version, in `dist/`.

A wheel, an sdist, the locks with their hashes, the list of what is installed (CycloneDX), the
notes, and the checksums of all of them. It tags and uploads nothing.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.process.words import counted
from app.version import VERSION
from dev import package, paths, sbom
from dev.steps import SetupError, say

CHECKSUMS = "SHA256SUMS"
LOCKS = (sbom.LOCK, paths.PROJECT / "requirements-tracing.lock")

_NAMED = 5
"""Files that are not committed: so many are named."""


class Checkout(NamedTuple):
    """What git says of the project.

    Attributes:
        changed: files that are not committed.
        tags: versions' tags of this commit.
        released: whether another commit has the tag of the version that is to be released.
    """

    changed: Sequence[str] = ()
    tags: Sequence[str] = ()
    released: bool = False


def obstacles(project: Path, version: str, checkout: Checkout) -> Iterator[str]:
    """What is still to do before a version can be released, a line each.

    Args:
        project: its folder.
        version: which is released.
        checkout: what git says of it.
    """
    if checkout.released:
        yield (
            f"the tag v{version} is on another commit: that version is released, so set the next "
            "one in app/version.py and deploy/chart/Chart.yaml"
        )
    if wrong := [tag for tag in checkout.tags if tag != f"v{version}"]:
        yield f"this commit has the tag {wrong[0]}, and app/version.py says {version}"
    if checkout.changed:
        more = len(checkout.changed) - _NAMED
        named = ", ".join(checkout.changed[:_NAMED])
        yield f"not committed: {named}{f' and {more} more' if more > 0 else ''}"
    if waiting := fragments(project):
        yield f"{counted(len(waiting), 'fragment')} in changes/: make changelog, then commit"
    if not notes((project / "CHANGELOG.md").read_text(encoding="utf-8"), version):
        yield f"CHANGELOG.md says nothing about {version}: make changelog, then commit"
    yield from chart_differs(project, version)


def fragments(project: Path) -> list[str]:
    """Names of the files that are to become a section of the changelog."""
    return sorted(one.name for one in (project / "changes").glob("*.md") if one.name != "README.md")


def chart_differs(project: Path, version: str) -> Iterator[str]:
    """Whether the chart is of another version, in a line."""
    chart = (project / "deploy" / "chart" / "Chart.yaml").read_text(encoding="utf-8")
    versions = re.findall(r'^(?:version|appVersion): "?([^"\n]+)', chart, re.MULTILINE)
    if set(versions) != {version}:
        yield f"deploy/chart/Chart.yaml: its versions are {', '.join(versions)}, not {version}"


def notes(changelog: str, version: str) -> str:
    """What the changelog says about a version, without its heading; empty: nothing."""
    found = re.search(
        rf"^## {re.escape(version)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    return found[1].strip() if found else ""


def checksums(files: list[Path]) -> str:
    """As `sha256sum --check` reads them."""
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files
    )


def checked_out(project: Path, version: str) -> Checkout:
    """Ask git.

    Raises:
        SetupError: it is not there, or this is no checkout.
    """
    tagged = _git(project, "tag", "--points-at", "HEAD", "--list", "v*").splitlines()
    known = _git(project, "tag", "--list", f"v{version}").splitlines()
    return Checkout(
        changed=[line[3:] for line in _git(project, "status", "--porcelain").splitlines()],
        tags=tagged,
        released=bool(known) and known[0] not in tagged,
    )


def _git(project: Path, *arguments: str) -> str:
    try:
        asked = subprocess.run(
            ["git", *arguments],  # noqa: S607 - wherever it is installed
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise SetupError("a release is made with git: install it") from None
    if asked.returncode:
        raise SetupError(f"a release is made from a git checkout: {asked.stderr.strip()}")
    return asked.stdout


def release() -> list[Path]:
    """Make everything.

    Raises:
        SetupError: something is still to do, or a step failed.
    """
    if left := list(obstacles(paths.PROJECT, VERSION, checked_out(paths.PROJECT, VERSION))):
        raise SetupError("\n".join([f"{VERSION} cannot be released yet:", *left]))
    package.build()
    if code := sbom.main():
        raise SetupError(f"exit code {code} from making {sbom.SBOM.name}")
    for lock in LOCKS:
        shutil.copy(lock, package.DIST)
    text = notes((paths.PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), VERSION)
    (package.DIST / "NOTES.md").write_text(f"{text}\n", encoding="utf-8")
    made = sorted(one for one in package.DIST.iterdir() if not one.name.startswith("."))
    (package.DIST / CHECKSUMS).write_text(checksums(made), encoding="utf-8")
    return [*made, package.DIST / CHECKSUMS]


def main() -> int:
    """Make everything, and say what comes next."""
    try:
        made = release()
    except SetupError as error:
        say(str(error))
        return 1
    for one in made:
        say(f"{one.relative_to(paths.PROJECT)}: {one.stat().st_size / 1000:.0f} kB")
    tag = f"v{VERSION}"
    tagged = tag in checked_out(paths.PROJECT, VERSION).tags
    say(f"next: {'' if tagged else f'git tag {tag} && '}git push origin {tag}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
