"""`make release`: everything that is published of a version, in `dist/`.

A wheel, an sdist, the lock with its hashes, the list of what is installed (CycloneDX), the notes,
and the checksums of all of them. It tags and uploads nothing.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from app.version import VERSION
from dev import package, paths, sbom
from dev.steps import SetupError, say

CHECKSUMS = "SHA256SUMS"


def obstacles(project: Path, version: str, changed: list[str]) -> Iterator[str]:
    """What is still to do before a version can be released, a line each.

    Args:
        project: its folder.
        version: which is released.
        changed: files that are not committed.
    """
    if changed:
        yield f"not committed: {', '.join(changed)}"
    fragments = sorted(
        one.name for one in (project / "changes").glob("*.md") if one.name != "README.md"
    )
    if fragments:
        yield f"{len(fragments)} fragments are in changes/: make changelog, then commit"
    if not notes((project / "CHANGELOG.md").read_text(encoding="utf-8"), version):
        yield f"CHANGELOG.md says nothing about {version}: make changelog, then commit"
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


def _changed() -> list[str]:
    asked = subprocess.run(
        ["git", "status", "--porcelain"],  # noqa: S607 - wherever it is installed
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise SetupError(f"a release is made from a git checkout: {asked.stderr.strip()}")
    return [line[3:] for line in asked.stdout.splitlines()]


def release() -> list[Path]:
    """Make everything.

    Raises:
        SetupError: something is still to do, or a step failed.
    """
    if left := list(obstacles(paths.PROJECT, VERSION, _changed())):
        raise SetupError("\n".join([f"{VERSION} cannot be released yet:", *left]))
    package.build()
    if code := sbom.main():
        raise SetupError(f"exit code {code} from making {sbom.SBOM.name}")
    shutil.copy(sbom.LOCK, package.DIST)
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
    say(f"next: git tag v{VERSION} && git push origin v{VERSION}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
