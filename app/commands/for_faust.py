"""Puts the commands beside `worker` into Faust's command line: `faust -A app ...`."""

from faust.cli.base import cli
from faust.cli.worker import worker as faust_worker
from mode import Worker

from app.commands import checkout
from app.commands.audit import audit
from app.commands.config import config
from app.commands.dead_letters import dead_letters
from app.commands.doctor import doctor
from app.commands.retention import retention
from app.commands.setup import setup
from app.commands.status import status
from app.commands.trace import trace


class worker(faust_worker):  # noqa: N801 - becomes the command of this name, in place of Faust's
    """Start a worker."""

    def on_worker_created(self, worker: Worker) -> None:
        """Print no banner: it would stand before the one line that says why there is no start.

        What it tells of ours stands in the log, once the start has begun.
        """


for command in (audit, config, dead_letters, doctor, retention, setup, status, trace):
    cli.add_command(command)

__all__ = ["checkout"]
