"""`make package`: a wheel and an sdist in `dist/`."""

import shutil
import sys

from dev import paths
from dev.indexes import inherited
from dev.steps import SetupError, command, say

DIST = paths.PROJECT / "dist"


def main() -> int:
    """Build both."""
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        command(
            [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", DIST, paths.PROJECT],
            env=inherited(),
        )
    except SetupError as error:
        say(str(error))
        return 1
    for built in sorted(DIST.glob("*-*")):
        say(f"{built.relative_to(paths.PROJECT)}: {built.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
