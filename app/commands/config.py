"""`persister config`: every setting, its value, and where the value comes from."""

import os
from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from app.commands.printing import print_json, print_table
from app.settings import load
from app.settings.listing import rows


@click.command("config")
@click.option("--json", "as_objects", is_flag=True, help="A JSON array of objects.")
def config(*, as_objects: bool) -> None:
    """List the worker's settings: value, where it comes from, default.

    The gateway's own, GATEWAY_*, are listed by `persister gateway --config`.

    Exit code 0; 2 when a setting is wrong or misspelt, and then it says which.
    """
    found = list(rows(load(), os.environ))
    if as_objects:
        print_json([asdict(row) for row in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("variable", "value", "from", "default"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "variable")
    for row in found:
        style = "bold" if row.source == "environment" else ""
        table.add_row(*map(escape, (row.variable, row.value, row.source, row.default)), style=style)
    print_table(table)
