"""Whether a commit makes a record cost more than the one before: `make bench-change`.

The CPU time of each step (`hot_path`) is measured in both at the same time, in processes of their
own: what the machine does besides meets both alike. It is said, and fails nothing, when a step or
all of them together cost a tenth more: sometimes that is the price. What is not committed yet is
compared with the last commit.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from dev.paths import PROJECT

LONGEST = 60
"""Seconds for a round, which takes three: a tree in which it waits for ever cannot be measured."""

ROUNDS = 4
"""Of which the fastest counts, for each step."""

NOTABLE = 0.10
NOISE = 0.25
"""Microseconds; by which a short step differs when nothing has changed."""

MODULE = "dev.bench.hot_path"

Steps = Mapping[str, float]
"""Microseconds for a record."""


class NotMeasured(Exception):  # noqa: N818 - what is the case
    """The measurement of a tree fails."""

    def __init__(self, tree: Path, why: str) -> None:
        super().__init__(f"{MODULE} fails in {tree}:\n{why}")
        self.tree = tree


def main() -> None:
    """Compare, and say what came of it; the last line is for the log of a CI."""
    base = before()
    if base is None:
        print("bench-change: there is no commit before this one here: nothing to compare with")
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(base, Path(folder))
        if not (Path(folder) / f"{MODULE.replace('.', '/')}.py").exists():
            print(f"bench-change: {base} does not measure its steps: nothing to compare with")
            return
        try:
            old, new = measured(Path(folder), PROJECT)
        except NotMeasured as failure:
            if failure.tree == PROJECT:
                raise
            print(f"bench-change: {base} cannot be measured here: nothing to compare with")
            return
    for line in table(old, new):
        print(line)
    print(f"bench-change: {verdict(old, new, base)}")


def before() -> str | None:
    """The commit to compare with, shortened; None where there is none, as in a shallow clone."""
    committed = _git("status", "--porcelain", "--untracked-files=no") == b""
    commit = _git("rev-parse", "--short", "--verify", "--quiet", "HEAD^" if committed else "HEAD")
    return None if commit is None else commit.decode().strip()


def unpack(commit: str, folder: Path) -> None:
    """Put the files of a commit into a folder."""
    archive = _git("archive", commit)
    if archive is None:
        raise RuntimeError(f"git does not give the files of {commit}")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def measured(old: Path, new: Path) -> tuple[Steps, Steps]:
    """The least that each step took in two trees."""
    with ThreadPoolExecutor(max_workers=2) as both:
        rounds = [tuple(both.map(_measured, (old, new))) for _ in range(ROUNDS)]
    return _least([one for one, _ in rounds]), _least([other for _, other in rounds])


def table(old: Steps, new: Steps) -> list[str]:
    """Each step, and all together as far as both have them."""
    lines = [
        f"{name:>8}: {new[name]:5.2f} µs a record, before {old[name]:5.2f} ({more:+.0%})"
        for name, more in _more(old, new).items()
        if name in new
    ]
    return [*lines, f"{'all':>8}: {_more(old, new)['all']:+.0%}"]


def verdict(old: Steps, new: Steps, base: str) -> str:
    """One line: what costs notably more."""
    notable = {
        name: more
        for name, more in _more(old, new).items()
        if more > NOTABLE and (name not in old or new[name] - old[name] > NOISE)
    }
    if not notable:
        return f"no step of a record's way costs over {NOTABLE:.0%} more than in {base}"
    told = ", ".join(f"{name} {more:+.0%}" for name, more in notable.items())
    return f"A RECORD COSTS MORE than in {base}: {told}. Is it worth that?"


def _more(old: Steps, new: Steps) -> dict[str, float]:
    """By how much each step that both have, and all of these together, cost more."""
    both = [name for name in new if name in old]
    more = {name: new[name] / old[name] - 1 for name in both}
    together = sum(new[name] for name in both) / sum(old[name] for name in both) - 1
    return {**more, "all": together}


def _least(rounds: list[Steps]) -> Steps:
    return {name: min(one[name] for one in rounds) for name in rounds[0]}


def _measured(tree: Path) -> Steps:
    try:
        run = subprocess.run(
            [sys.executable, "-m", MODULE],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            check=False,
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise NotMeasured(tree, f"no end within {LONGEST} s") from None
    if run.returncode:
        raise NotMeasured(tree, run.stderr)
    steps: Steps = json.loads(run.stdout)
    return steps


def _git(*arguments: str) -> bytes | None:
    """What git prints; None where it fails, or where there is no git."""
    program = shutil.which("git")
    if program is None:
        return None
    run = subprocess.run([program, *arguments], cwd=PROJECT, check=False, capture_output=True)
    return None if run.returncode else run.stdout


if __name__ == "__main__":
    main()
