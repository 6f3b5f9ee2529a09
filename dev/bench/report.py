"""What was measured: a table for people, JSON for machines."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Args:
        part: of the benchmark.
        name: what was measured.
        value: of it.
        unit: of the value; empty for a ratio.
        goal: what it should be, for the reader; empty where there is none.
    """

    part: str
    name: str
    value: float
    unit: str = ""
    goal: str = ""


def show(figures: list[Figure]) -> None:
    """Print a table."""
    table = Table(title=machine())
    table.add_column("what")
    for heading in ("measured", "goal"):
        table.add_column(heading, justify="right")
    for figure in figures:
        table.add_row(
            f"{figure.part}: {figure.name}", f"{figure.value:.4g} {figure.unit}", figure.goal
        )
    Console().print(table)


def write(figures: list[Figure], path: Path) -> None:
    """Write them as JSON, with the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> str:
    """What it was measured on."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
