"""Prints what `doctor` and `setup` found: a line for each finding, or JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from app.commands.printing import print_json, print_table
from app.doctor.finding import Finding, State
from app.process.printable import printable

CODES = {State.OK: 0, State.WARNING: 0, State.WRONG: 1}
"""Exit codes, by the worst finding."""

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.WRONG: "bold red"}


def tell(findings: Sequence[Finding], *, as_objects: bool) -> None:
    """Print them."""
    if as_objects:
        print_json([asdict(finding) for finding in findings])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    for finding in findings:
        state = f"[{_STYLES[finding.state]}]{finding.state}[/]"
        table.add_row(state, escape(finding.what), escape(printable(finding.detail)))
    print_table(table)
