"""`make lock`: pins every package, with hashes, for all supported Pythons and platforms.

`requirements.lock` holds what the persister runs with, `requirements-tracing.lock` also what its
extra needs, `requirements-dev.lock` what its tests need, `requirements-build.lock` what builds it.
Versions in the locks are kept where the
requirements allow it; `--upgrade` takes new ones.
"""

import sys

from dev import paths
from dev.indexes import inherited
from dev.steps import SetupError, command, say

LOCKS = {
    "requirements-build.lock": ["requirements-build.txt"],
    "requirements.lock": ["requirements.txt"],
    "requirements-tracing.lock": ["requirements.txt", "requirements-tracing.txt"],
    "requirements-dev.lock": [
        "requirements.txt",
        "requirements-tracing.txt",
        "requirements-dev.txt",
    ],
}
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"]
HEADER = "# Made by `make lock`. With --require-hashes, pip and uv install exactly this.\n"


def main() -> int:
    """Write all locks."""
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", *OPTIONS]
    # What is run is never another version than what is tested.
    constraints: list[str] = []
    try:
        for name, requirements in reversed(LOCKS.items()):
            lock = paths.PROJECT / name
            command(
                [*uv, *constraints, *sys.argv[1:], *requirements, "--output-file", name],
                cwd=paths.PROJECT,
                env=inherited(),
            )
            lock.write_text(HEADER + lock.read_text(encoding="utf-8"), encoding="utf-8")
            constraints = ["--constraints", name]
    except SetupError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
