"""Commands that need a checkout: they are in `dev`, which no package and no image contains."""

from functools import partial
from importlib import import_module
from importlib.util import find_spec

import click
from faust.cli.base import cli

from app.commands.deferred import Deferred

COMMANDS = {"simulate": ("dev.simulate", "Write activations to Kafka as OpenWhisk would.")}
"""Where each command is defined, and its line in the list."""


def register() -> None:
    """Add the commands of the checkout, if this is one."""
    if find_spec("dev") is None:
        return
    for name, (module, summary) in COMMANDS.items():
        cli.add_command(Deferred(name, summary, partial(_load, name, module)))


def _load(name: str, module: str) -> click.Command:
    """Import a command's module, which puts the command into Faust's command line itself."""
    import_module(module)
    return cli.commands[name]


register()
