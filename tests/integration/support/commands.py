"""Running the persister's commands as an operator does."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from dev import paths
from dev.generated.outputs import check
from dev.worker import database_settings, environment

LONGEST = 60.0
"""Seconds that a command may take."""


class Ran(NamedTuple):
    """What a command did."""

    code: int
    output: str
    errors: str


@dataclass
class Ended:
    """What a command did that stayed for a while; known when it has been told to stop."""

    code: int = -1
    errors: str = ""


class Commands:
    """`persister …` with the settings of one test's workers."""

    def __init__(self, kafka_url: str, couchdb_url: str, **settings: Any) -> None:
        given = {"kafka_url": kafka_url, **database_settings(couchdb_url), **settings}
        self._environment = {**environment(given), "PYTHONPATH": str(paths.PROJECT)}

    async def run(self, *arguments: str) -> Ran:
        """Run to the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.commands.main", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), timeout=LONGEST)
        except TimeoutError:
            process.kill()
            raise
        ran = Ran(process.returncode or 0, output.decode(), errors.decode())
        if "--json" in arguments and ran.output:
            check(arguments[0], ran.output)
        return ran

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator["Ended"]:
        """Run one that stays, and tell it to stop at the end of the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.commands.main", *arguments),
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        ended = Ended()
        try:
            yield ended
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            _, errors = await asyncio.wait_for(process.communicate(), timeout=LONGEST)
            ended.code, ended.errors = process.returncode or 0, errors.decode()
