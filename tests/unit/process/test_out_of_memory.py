"""A process without memory: one message, and it ends."""

import subprocess
import sys
from typing import Final

import pytest

BEGINNING: Final = """
import logging, resource, threading
from app.process.logs import log_to_terminal
from app.process.out_of_memory import end_without_memory
log_to_terminal()
logger = logging.getLogger("somebody")
end_without_memory()
"""

EXHAUSTED: Final = """
vm = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
limit = int(vm.split()[1]) * 1024 + 4 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
held = []
try:
    while True:
        held.append(bytearray(8192))
except MemoryError:
    logger.exception("Crashed")
"""

IN_A_HANDLER: Final = """
try:
    raise MemoryError
except MemoryError as error:
    logger.exception("Crashed")
"""

AS_AN_ARGUMENT: Final = "logger.error('Crashed reason=%r', MemoryError())"

ENDS_A_THREAD: Final = """
def fail():
    raise MemoryError
thread = threading.Thread(target=fail)
thread.start()
thread.join()
"""

IN_MANY_THREADS: Final = f"""
def fail():
{"".join(f"    {line}" for line in IN_A_HANDLER.strip().splitlines(keepends=True))}
threads = [threading.Thread(target=fail) for _ in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.parametrize(
    "fails", [IN_A_HANDLER, AS_AN_ARGUMENT, ENDS_A_THREAD, IN_MANY_THREADS, EXHAUSTED]
)
def test_it_ends_with_one_message(fails: str) -> None:
    ended = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", f"{BEGINNING}{fails}\nlogger.error('goes on')"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    (line,) = (ended.stdout + ended.stderr).splitlines()
    assert "There is no memory left: ending the process" in line
    assert ended.returncode == 1


def test_any_other_error_is_logged_as_ever() -> None:
    ended = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", f"{BEGINNING}{IN_A_HANDLER.replace('MemoryError', 'KeyError')}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" in ended.stderr
    assert ended.returncode == 0
