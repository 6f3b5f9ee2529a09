"""Puts the commands beside `worker` into Faust's command line: `faust -A app ...`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, cast

from faust.cli.base import cli
from faust.cli.worker import worker as faust_worker
from mode import Worker

from app.commands import checkout
from app.commands.deferred import Deferred
from app.commands.main import COMMANDS
from app.process.logs import detach_logs
from app.process.out_of_memory import end_without_memory

if TYPE_CHECKING:
    from app.application import Persister

FAUSTS_OWN, WITHOUT_FAUST = "worker", "gateway"


class worker(faust_worker):  # noqa: N801 - becomes the command of this name, in place of Faust's
    """Start a worker."""

    def worker_for_service(
        self, service: Any, loop: asyncio.AbstractEventLoop | None = None
    ) -> Worker:
        """Make the worker, which waits for nobody who reads its log."""
        detach_logs(cast("Persister", self.app).settings.worker.log_format)
        end_without_memory()
        self.stdout, self.stderr = sys.stdout, sys.stderr
        return super().worker_for_service(service, loop)

    def on_worker_created(self, worker: Worker) -> None:
        """Print no banner: it would stand before the one line that says why there is no start.

        What it tells of ours stands in the log, once the start has begun.
        """


for name, where in COMMANDS.items():
    if name not in {FAUSTS_OWN, WITHOUT_FAUST}:
        cli.add_command(Deferred(name, where.summary, where.load))

__all__ = ["checkout"]
