"""What the tests of pages need from npm."""

from pathlib import Path

from dev.npm import install_modules

_SOURCES = Path(__file__).parent


def axe_core() -> str:
    """The script of axe-core, which finds what keeps people out of a page."""
    return (_modules() / "axe-core/axe.min.js").read_text(encoding="utf-8")


def shipped_uplot() -> Path:
    """UPlot as its authors ship it, to compare ours with."""
    return _modules() / "uplot"


def _modules() -> Path:
    return install_modules("browser", _SOURCES, "axe-core and uPlot")
