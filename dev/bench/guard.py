"""What remembering ten million records costs, in a process of its own.

python -m dev.bench.guard [RECORDS]
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app.settings import GuardSettings
from app.storing.guard import Guard
from dev.bench.report import Figure
from dev.services import Services

RECORDS = 10_000_000
PARTITIONS = 8
CHUNK = 250
"""Records that are remembered together, as chunks of the internal topic bring them."""

ASKED = 400
"""Chunks that are looked up; every second one is not known."""


def measure(records: int) -> dict[str, float]:
    """Bytes for each record, seconds for each look-up, seconds for building it from the table."""
    table: dict[str, bytes] = {}
    settings = GuardSettings.model_validate({"PERSISTER_GUARD_RECORDS": records})
    guard = Guard(table, settings, clock=time.time, forget=table.__delitem__)
    guard.assign(range(PARTITIONS))
    guard.bind(b"database")
    before = _resident()
    known = []
    for number in range(records // CHUNK):
        digests = [os.urandom(16) for _ in range(CHUNK)]
        guard.remember(number % PARTITIONS, number * CHUNK, digests)
        if number % (records // CHUNK // ASKED * 2) == 0:
            known.append((number % PARTITIONS, digests))
    gc.collect()
    size = _resident() - before
    asked = list(_mixed(known))
    started = time.process_time()
    found = sum(len(guard.known(partition, digests)) for partition, digests in asked)
    looked_up = time.process_time() - started
    if found != len(known) * CHUNK:
        raise RuntimeError(f"the guard knows {found} of {len(known) * CHUNK} records")
    started = time.process_time()
    guard.assign(range(PARTITIONS))
    return {
        "bytes": size / records,
        "look-up": looked_up / (len(asked) * CHUNK),
        "rebuild": time.process_time() - started,
    }


def _mixed(known: list[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
    for partition, digests in known:
        yield partition, digests
        yield partition, [os.urandom(16) for _ in digests]


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


async def run(_provided: Services) -> list[Figure]:
    """Measure in another process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.bench.guard"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = json.loads(output)
    return [
        Figure("guard", "memory per record", found["bytes"], "bytes", "40"),
        Figure("guard", "look-up", found["look-up"] * 1e6, "µs", "1"),
        Figure("guard", f"built from {RECORDS:,} records", found["rebuild"], "s", "15"),
    ]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if sys.argv[1:] else RECORDS)))
