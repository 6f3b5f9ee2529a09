"""Runs a tool in an environment of its own: `python -m dev.aside REQUIREMENTS COMMAND...`.

For what only one target needs, and whose packages would get in the way of everything else's.
"""

import os
import sys

from dev.indexes import inherited


def main() -> None:
    """Become the command."""
    requirements, *command = sys.argv[1:]
    uv = [sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--isolated"]
    os.execve(  # noqa: S606 - the arguments are the Makefile's
        sys.executable, [*uv, "--with-requirements", requirements, *command], inherited()
    )


if __name__ == "__main__":
    main()
