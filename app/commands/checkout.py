"""Commands that need a checkout: they live in `dev`, which is in no package and no image.

Each is listed beside the others, and its module is loaded when the command is run: a worker never
imports `dev`, nor what that imports.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click
from faust.cli.base import cli

COMMANDS = {"simulate": ("dev.simulate", "Write activations to Kafka as OpenWhisk would.")}
"""Where each command is defined, and its line in the list."""


class CheckoutCommand(click.Command):
    """Stands in for a command until it is run."""

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Load the command, which takes this one's place in Faust's command line, and be it."""
        import_module(self._module)
        loaded = cli.commands[str(self.name)]
        return loaded.make_context(info_name, args, parent=parent, **extra)


def register() -> None:
    """Add the commands of the checkout, if this is one."""
    if find_spec("dev") is None:
        return
    for name, (module, summary) in COMMANDS.items():
        cli.add_command(CheckoutCommand(name, module, summary))


register()
