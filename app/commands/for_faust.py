"""Puts the commands beside `worker` into Faust's command line: `faust -A app ...`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, cast

import click
from faust.cli.base import cli
from faust.cli.worker import worker as faust_worker
from mode import Worker

from app.commands import checkout
from app.commands.deferred import Deferred
from app.commands.main import COMMANDS
from app.process.errors import WRONG_SETTINGS
from app.process.logs import detach_logs, open_log_file
from app.process.out_of_memory import end_without_memory
from app.process.words import system_reason

if TYPE_CHECKING:
    from app.application import Persister
    from app.process.detached import DetachedStream

FAUSTS_OWN, WITHOUT_FAUST = "worker", "gateway"


class worker(faust_worker):  # noqa: N801 - becomes the command of this name, in place of Faust's
    """Start a worker."""

    def worker_for_service(
        self, service: Any, loop: asyncio.AbstractEventLoop | None = None
    ) -> Worker:
        """Make the worker, which waits for nobody who reads its log.

        Raises:
            SystemExit: the log file cannot be opened.
        """
        detach_logs(cast("Persister", self.app).settings.worker.log_format)
        end_without_memory()
        self.stdout, self.stderr = sys.stdout, sys.stderr
        file, self.logfile = self.logfile, None
        made = super().worker_for_service(service, loop)
        if file:
            # In place of Faust's own handler, which writes in the event loop.
            stream = self._open(file)
            handler = {"class": "logging.StreamHandler", "stream": stream, "formatter": "default"}
            cast("dict[str, Any]", made.logging_config)["handlers"] = {"default": handler}
        return made

    def _open(self, file: str) -> "DetachedStream":
        try:
            return open_log_file(file, cast("Persister", self.app).settings.worker.log_format)
        except OSError as error:
            click.echo(f"Error: --logfile {file}: {system_reason(error)}", err=True)
            sys.exit(WRONG_SETTINGS)

    def on_worker_created(self, worker: Worker) -> None:
        """Print no banner: it would stand before the one line that says why there is no start.

        What it tells of ours stands in the log, once the start has begun.
        """


for name, where in COMMANDS.items():
    if name not in {FAUSTS_OWN, WITHOUT_FAUST}:
        cli.add_command(Deferred(name, where.summary, where.load))

__all__ = ["checkout"]
