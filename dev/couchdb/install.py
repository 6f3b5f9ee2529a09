"""Installs the CouchDB stand-in's modules with npm."""

from pathlib import Path

from dev import paths
from dev.npm import NODE, install_modules

__all__ = ["HOME", "MODULES", "NODE", "SOURCES", "install_couchdb"]

SOURCES = Path(__file__).parent
HOME = paths.HOME / "couchdb"
MODULES = HOME / "node_modules"


def install_couchdb() -> None:
    """Install what is missing or out of date.

    Raises:
        SetupError: npm failed.
    """
    install_modules("couchdb", SOURCES, "the CouchDB stand-in")
