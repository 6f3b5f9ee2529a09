"""Running the persister's commands as an operator does."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from dev import paths
from dev.generated.outputs import check
from dev.process import Process
from dev.worker import database_settings, environment
from tests.integration.support import preloaded

LONGEST = 60.0
"""Seconds that a command may take."""

PERSISTER = ("app.commands.main",)
"""Module and first arguments of `persister`."""

GROUPS = {"dead-letters"}
"""Commands that have commands of their own."""


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


async def run_module(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run a module to the end, in the project's folder; raises `subprocess.TimeoutExpired`.

    Args:
        arguments: The module and its arguments.
        env: The whole environment; `PYTHONPATH` is added.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = await asyncio.to_thread(_start, arguments, env, out, err)
        try:
            code = await asyncio.to_thread(process.wait, LONGEST)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, code, _all(out), _all(err))


def _start(
    arguments: tuple[str, ...], env: Mapping[str, str], out: IO[bytes], err: IO[bytes]
) -> Process:
    return preloaded.start(
        [sys.executable, "-m", *arguments],
        folder=paths.PROJECT,
        env={**env, "PYTHONPATH": str(paths.PROJECT)},
        out=out.fileno(),
        err=err.fileno(),
    )


def _all(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


class Commands:
    """`persister …` with the settings of one test's workers."""

    def __init__(self, kafka_url: str, couchdb_url: str, **settings: Any) -> None:
        given = {"kafka_url": kafka_url, **database_settings(couchdb_url), **settings}
        self._environment = environment(given)

    async def run(self, *arguments: str) -> Ran:
        """Run to the end."""
        done = await self.run_raw(*arguments)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def run_raw(
        self, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        """As `run`, for output that need not be text, and with other variables."""
        done = await run_module(*PERSISTER, *arguments, env={**self._environment, **variables})
        if "--json" in arguments and done.stdout:
            name = arguments[: 2 if arguments[0] in GROUPS else 1]
            check(" ".join(name), done.stdout.decode())
        return done

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator["Ended"]:
        """Run one that stays, and tell it to stop at the end of the block."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = await asyncio.to_thread(
                _start, (*PERSISTER, *arguments), self._environment, out, err
            )
            ended = Ended()
            try:
                yield ended
                process.terminate()
                ended.code = await asyncio.to_thread(process.wait, LONGEST)
            finally:
                process.kill()
                ended.errors = _all(err).decode()
