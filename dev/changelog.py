"""`make changelog`: moves the fragments of `changes/` into a section of `CHANGELOG.md`.

It changes the working tree and the index, and commits nothing.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from app.process.words import counted
from app.version import VERSION
from dev import paths
from dev.release import chart_differs, fragments, notes
from dev.steps import SetupError, command, say


def obstacles(project: Path, version: str) -> Iterator[str]:
    """Why no section can be made for a version, a line each."""
    if notes((project / "CHANGELOG.md").read_text(encoding="utf-8"), version):
        yield (
            f"CHANGELOG.md has {version} already: set the next version in app/version.py and "
            "deploy/chart/Chart.yaml, or, to make it anew, take the first one back: "
            "git restore --staged --worktree CHANGELOG.md changes"
        )
    if not fragments(project):
        yield "changes/ holds no fragment: there is nothing to tell"
    yield from chart_differs(project, version)


def move() -> int:
    """Move the fragments; returns how many.

    Raises:
        SetupError: no section can be made.
    """
    waiting = fragments(paths.PROJECT)
    if left := list(obstacles(paths.PROJECT, VERSION)):
        raise SetupError("\n".join(left))
    command(
        [sys.executable, "-m", "towncrier", "build", "--yes", "--version", VERSION],
        cwd=paths.PROJECT,
    )
    return len(waiting)


def main() -> int:
    """Move them, and say what comes next."""
    try:
        moved = move()
    except SetupError as error:
        say(str(error))
        return 1
    say(f"CHANGELOG.md: {counted(moved, 'fragment')} became the section {VERSION}")
    say(f"next: read it, then git commit --all --message 'Release {VERSION}', then make release")
    return 0


if __name__ == "__main__":
    sys.exit(main())
