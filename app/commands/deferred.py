"""A command in Faust's command line that is imported only when it is run.

Every worker builds Faust's command line, but runs none of the commands.
"""

from collections.abc import Callable
from typing import Any

import click


class Deferred(click.Command):
    """Stands in for a command until it is run.

    Args:
        name: of the command.
        summary: its line in the list of commands.
        load: imports the command.
    """

    def __init__(self, name: str, summary: str, load: Callable[[], click.Command]) -> None:
        super().__init__(name, short_help=summary)
        self._load = load

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Load the command, and be it from here on."""
        return self._load().make_context(info_name, args, parent=parent, **extra)
