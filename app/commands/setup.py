"""`persister setup`: creates the topics, the database and its design documents."""

import asyncio
import logging
import sys

import click

from app.commands.findings import CODES, tell
from app.commands.printing import remark
from app.doctor import Finding, worst
from app.doctor.setting_up import set_up
from app.settings import load


@click.command("setup")
@click.option("--check", is_flag=True, help="Change nothing; only say what is missing.")
@click.option("--json", "as_objects", is_flag=True, help="A JSON array of findings.")
def setup(*, check: bool, as_objects: bool) -> None:
    """Create the topics, the database and its design documents, where they are missing.

    A worker does the same when it starts, if it has the rights. Use this where somebody else has
    them. What exists is not changed.

    Exit code 0: all is there. 1: something is missing, or could not be made. 2: a setting is wrong.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = load()

    async def found() -> list[Finding]:
        return [finding async for finding in set_up(settings, check=check, say=remark)]

    findings = asyncio.run(found())
    tell(findings, as_objects=as_objects)
    sys.exit(CODES[worst(findings)])
