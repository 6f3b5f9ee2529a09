"""`persister doctor`: checks everything that a worker needs, and says how to fix what is wrong."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.doctor import Finding, State, worst
from app.doctor.database import examine_database
from app.doctor.kafka import examine_kafka
from app.process.printable import printable
from app.settings import Settings, load

CODES = {State.OK: 0, State.WARNING: 0, State.WRONG: 1}
STYLES = {State.OK: "green", State.WARNING: "yellow", State.WRONG: "bold red"}


@click.command("doctor")
@click.option("--json", "as_objects", is_flag=True, help="A JSON array of findings.")
def doctor(*, as_objects: bool) -> None:
    """Look at settings, Kafka, topics, rights and database, and change nothing.

    Exit code 0: a worker will run; warnings are listed. 1: it will not. 2: a setting is wrong.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    findings = asyncio.run(examine(load()))
    if as_objects:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        show(findings, Console(soft_wrap=not sys.stdout.isatty()))
    sys.exit(CODES[worst(findings)])


async def examine(settings: Settings) -> list[Finding]:
    """Everything, one after the other."""
    findings = [Finding("settings", State.OK, "every variable is known and valid")]
    findings += [finding async for finding in examine_kafka(settings)]
    findings += [finding async for finding in examine_database(settings.database)]
    return findings


def show(findings: list[Finding], console: Console) -> None:
    """A line for each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        state = f"[{STYLES[finding.state]}]{finding.state}[/]"
        table.add_row(state, escape(finding.what), escape(printable(finding.detail)))
    console.print(table)
