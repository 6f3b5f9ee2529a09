"""The commands beside `worker`: importing them registers them with Faust's command line."""

from faust.cli.base import cli

from app.commands import audit, checkout, dead_letters
from app.commands.config import config
from app.commands.doctor import doctor
from app.commands.retention import retention
from app.commands.setup import setup
from app.commands.status import status
from app.commands.trace import trace

for command in (config, doctor, retention, setup, status, trace):
    cli.add_command(command)

__all__ = ["audit", "checkout", "dead_letters"]
