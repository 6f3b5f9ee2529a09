"""Puts the commands beside `worker` into Faust's command line: `faust -A app ...`."""

from faust.cli.base import cli
from faust.cli.worker import worker as faust_worker
from mode import Worker

from app.commands import checkout
from app.commands.deferred import Deferred
from app.commands.main import COMMANDS

FAUSTS_OWN, WITHOUT_FAUST = "worker", "gateway"


class worker(faust_worker):  # noqa: N801 - becomes the command of this name, in place of Faust's
    """Start a worker."""

    def on_worker_created(self, worker: Worker) -> None:
        """Print no banner: it would stand before the one line that says why there is no start.

        What it tells of ours stands in the log, once the start has begun.
        """


for name, where in COMMANDS.items():
    if name not in {FAUSTS_OWN, WITHOUT_FAUST}:
        cli.add_command(Deferred(name, where.summary, where.load))

__all__ = ["checkout"]
