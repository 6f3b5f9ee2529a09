"""Puts the commands beside `worker` into Faust's command line: `faust -A app ...`."""

from faust.cli.base import cli

from app.commands import checkout
from app.commands.audit import audit
from app.commands.config import config
from app.commands.dead_letters import dead_letters
from app.commands.doctor import doctor
from app.commands.retention import retention
from app.commands.setup import setup
from app.commands.status import status
from app.commands.trace import trace

for command in (audit, config, dead_letters, doctor, retention, setup, status, trace):
    cli.add_command(command)

__all__ = ["checkout"]
