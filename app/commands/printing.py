"""Prints the results of commands: tables as wide as the terminal, and JSON."""

import io
import json
import sys
from collections.abc import Iterable

import click
from rich.console import Console, RenderableType

_NO_END = 10_000
"""Columns of what is read by no eye: a line of a table stays one line in a file or a pipe."""

_WRITTEN = 64 * 1024
"""Characters that are written at a time."""


def print_table(table: RenderableType) -> None:
    """Print a table; it is folded only where there is a terminal to fold it for."""
    if sys.stdout.isatty():
        Console().print(table)
        return
    text = io.StringIO()
    Console(file=text, width=_NO_END).print(table)
    # rich fills every line to the longest one.
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print JSON, escaped to ASCII: what others wrote cannot speak to the terminal."""
    print_pieces(json.JSONEncoder(indent=indent).iterencode(value))


def remark(text: str) -> None:
    """Tell somebody who waits what is going on, beside the result."""
    click.echo(text, err=True)


def print_pieces(pieces: Iterable[str]) -> None:
    """Print a text of any length, and a line end; no copy is made of all of it."""
    out = click.get_text_stream("stdout")
    for piece in pieces:
        for start in range(0, len(piece), _WRITTEN):
            out.write(piece[start : start + _WRITTEN])
    out.write("\n")
    out.flush()
