"""`persister config`: every setting, its value, and where the value comes from."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import get_type_hints

import click
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.settings import Settings, load
from app.settings.base import variable_of


@dataclass(frozen=True)
class Row:
    """One setting.

    Args:
        variable: of the environment.
        value: as it is in force; a secret only says that it is given.
        source: `environment` or `default`.
        default: what counts without the variable.
    """

    variable: str
    value: str
    source: str
    default: str


def rows(settings: Settings, environment: Mapping[str, str]) -> Iterator[Row]:
    """Every setting, in the order of the groups."""
    given = {name.upper() for name, value in environment.items() if value}
    for name, group in get_type_hints(Settings).items():
        for field_name, field in group.model_fields.items():
            variable = variable_of(group, field_name)
            yield Row(
                variable,
                _shown(getattr(getattr(settings, name), field_name)),
                "environment" if variable in given else "default",
                _shown(field.default),
            )


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return "(given, not shown)"
        case bool():
            return str(value).lower()
        case frozenset() | set() | tuple() | list():
            return ",".join(sorted(map(str, value)))
        case float():
            return f"{value:.10g}"
        case _:
            return str(value)


@click.command("config")
@click.option("--json", "as_objects", is_flag=True, help="A JSON array of objects.")
def config(*, as_objects: bool) -> None:
    """List every setting with its value, where it is from, and its default.

    Exit code 0; 2 when a setting is wrong or misspelt, and then says which.
    """
    found = list(rows(load(), os.environ))
    if as_objects:
        click.echo(json.dumps([asdict(row) for row in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("variable", "value", "from", "default"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "variable")
    for row in found:
        style = "bold" if row.source == "environment" else ""
        table.add_row(*map(escape, (row.variable, row.value, row.source, row.default)), style=style)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
