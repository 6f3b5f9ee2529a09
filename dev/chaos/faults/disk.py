"""The disk of the data directory is full, lost or unusable."""

import asyncio
import shutil
import sys
from pathlib import Path

from dev.chaos.crew import Member
from dev.chaos.fault import Fault, Kind, NotProvoked
from dev.chaos.stage import Stage

WHILE_FULL = 6.0


async def full(stage: Stage) -> None:
    """Every write to a file fails, including to the log."""
    if sys.platform != "linux":
        raise NotProvoked("only Linux lets one process limit another one's files")
    import resource  # noqa: PLC0415 - not on every system

    members = [member for member in stage.crew.wanted if member.worker.running]
    before = {member: resource.getrlimit(resource.RLIMIT_FSIZE) for member in members}
    for member in members:
        pid = member.worker.pid
        before[member] = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[member][1]))
    await asyncio.sleep(WHILE_FULL)
    if stage.alone:
        await stage.goes_on(20.0, "with full disks")
    for member, limits in before.items():
        if member.worker.running:
            resource.prlimit(member.worker.pid, resource.RLIMIT_FSIZE, limits)


async def lost(stage: Stage) -> None:
    """The data directory is deleted under a running worker, which is then killed."""
    member = stage.random.choice(stage.crew.wanted)
    shutil.rmtree(_data(member), ignore_errors=True)
    if stage.alone:
        await stage.goes_on(20.0, "without its data directory")
    await stage.crew.kill(member)


async def unusable(stage: Stage) -> None:
    """A worker starts while its data directory can't be created, until it can."""
    member = stage.random.choice(stage.crew.wanted)
    data = _data(member)
    await stage.crew.kill(member)
    shutil.rmtree(data, ignore_errors=True)
    data.write_text("this is no directory")
    exits = len(stage.crew.exits)
    for _ in range(100):
        if len(stage.crew.exits) > exits:
            break
        await asyncio.sleep(0.1)
    else:
        stage.findings.append("a worker without a usable data directory did not end")
    data.unlink()


def _data(member: Member) -> Path:
    return member.worker.log_file.parent / "data"


FAULTS = (
    Fault("disk-full", Kind.DISK, "workers go on: they keep nothing there that they need", full),
    Fault("disk-lost", Kind.DISK, "the worker goes on, and starts again with an empty one", lost),
    Fault(
        "disk-unusable",
        Kind.DISK,
        "the worker ends with a message until its data directory can be made",
        unusable,
        may_exit=True,
    ),
)
