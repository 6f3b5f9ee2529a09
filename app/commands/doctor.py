"""`persister doctor`: checks everything that a worker needs, and says how to fix what is wrong."""

import asyncio
import logging
import sys

import click

from app.commands.findings import CODES, tell
from app.commands.printing import remark
from app.doctor import Finding, State, worst
from app.doctor.database import examine_database
from app.doctor.kafka import examine_kafka
from app.doctor.machine import examine_machine
from app.settings import Settings, load


@click.command("doctor")
@click.option("--json", "as_objects", is_flag=True, help="A JSON array of findings.")
def doctor(*, as_objects: bool) -> None:
    """Check settings, machine, Kafka, topics, rights and database; change nothing.

    Exit code 0: a worker will run; warnings are listed. 1: it will not. 2: a setting is wrong.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    findings = asyncio.run(examine(load()))
    tell(findings, as_objects=as_objects)
    sys.exit(CODES[worst(findings)])


async def examine(settings: Settings) -> list[Finding]:
    """Everything, one after the other."""
    findings = [Finding("settings", State.OK, "every variable is known and valid")]
    findings += examine_machine(settings.worker)
    findings += [finding async for finding in examine_kafka(settings)]
    findings += [finding async for finding in examine_database(settings.database, remark)]
    return findings
