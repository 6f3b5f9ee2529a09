"""Run the benchmark: `python -m dev.bench --help`.

Kafka and the database run as batch jobs of the scheduler: on a small machine each of their many
short threads would otherwise interrupt the worker as it wakes up, 30,000 times in a run. Where they
have hosts of their own they do not.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from dev.bench import gateway, guard, insight, latency, memory, scale, throughput, worker
from dev.bench.report import Figure, show, write
from dev.paths import HOME
from dev.services import Services, services

PARTS: dict[str, Callable[[Services], Awaitable[list[Figure]]]] = {
    "throughput": throughput.run,
    "latency": latency.run,
    "guard": guard.run,
    "worker": worker.run,
    "large": memory.large,
    "memory": memory.away,
    "insight": insight.run,
    "scale": scale.run,
    "gateway": gateway.run,
}


def main() -> None:
    """Run against the services of the environment, or start some."""
    arguments = _parser().parse_args()
    with contextlib.ExitStack() as stack:
        with _as_batch():  # what is started here stays so
            provided = stack.enter_context(services())
        figures = asyncio.run(_run(provided, arguments.only or list(PARTS)))
    show(figures)
    write(figures, arguments.json)


async def _run(provided: Services, parts: list[str]) -> list[Figure]:
    return [figure for part in parts for figure in await PARTS[part](provided)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, default=HOME / "bench.json", help="%(default)s")
    return parser


@contextlib.contextmanager
def _as_batch() -> Iterator[None]:
    """Run this process and its children at batch priority (Linux only)."""
    if not hasattr(os, "SCHED_BATCH"):
        yield
        return
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    main()
