"""Files are pipes here, which nobody reads until a test does."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from app.process.detached import DetachedStream


class Pipe:
    """A pipe that is full until it is read."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.filled = 0
        for size in (512, 1):
            try:
                while True:
                    self.filled += os.write(self.writing, b"." * size)
            except BlockingIOError:
                pass
        os.set_blocking(self.writing, True)

    def begin(self) -> None:
        """Read what fills it."""
        left = self.filled
        while left:
            left -= len(os.read(self.reading, left))

    def lines(self, count: int) -> list[str]:
        """Read so many lines."""
        data = b""
        while data.count(b"\n") < count:
            data += os.read(self.reading, 65536)
        return data.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)  # whoever writes still is told so


def stream(pipe: Pipe, room: int = 1000) -> DetachedStream:
    return DetachedStream(pipe.writing, note=lambda count: f"({count})\n", room=room)


def test_what_is_written_arrives_in_order(pipe: Pipe) -> None:
    pipe.begin()
    written = [f"line {number}" for number in range(50)]
    out = stream(pipe)
    for line in written:
        print(line, file=out)
    assert pipe.lines(50) == written
    assert out.drain(10)
    assert out.left_out == 0


def test_nobody_waits_and_what_has_no_room_is_counted_at_its_place(pipe: Pipe) -> None:
    out = stream(pipe, room=40)
    out.write("taken\n")
    while out._waiting:  # the thread takes it, and waits for the pipe
        threading.Event().wait(0.001)
    for number in range(10):
        out.write(f"line {number}..\n")
    assert out.left_out == 6
    assert not out.drain(0)
    pipe.begin()
    assert pipe.lines(6) == ["taken", *(f"line {number}.." for number in range(4)), "(6)"]
    assert out.drain(10)
    out.write("after\n")
    assert pipe.lines(1) == ["after"]


def test_what_is_printed_is_left_out_with_the_end_of_its_line(pipe: Pipe) -> None:
    """That is written by itself, and had room where the line had none."""
    out = stream(pipe, room=45)
    out.write("taken\n")
    while out._waiting:
        threading.Event().wait(0.001)
    for number in range(8):
        print(f"a long line {number} .....", file=out)
    assert out.left_out == 6
    pipe.begin()
    assert pipe.lines(4) == ["taken", "a long line 0 .....", "a long line 1 .....", "(6)"]


def test_a_line_that_is_larger_than_the_room_is_written_where_nothing_waits(pipe: Pipe) -> None:
    pipe.begin()
    out = stream(pipe, room=10)
    out.write("x" * 100_000 + "\n")
    assert pipe.lines(1) == ["x" * 100_000]


def test_text_that_is_no_unicode_is_written(pipe: Pipe) -> None:
    pipe.begin()
    out = stream(pipe)
    out.write("\udce9 ü\n")
    assert pipe.lines(1) == ["\\udce9 ü"]


def test_a_file_that_does_not_wait_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writing, False)
    out = stream(pipe)
    out.write("line\n")
    pipe.begin()
    assert pipe.lines(1) == ["line"]


def test_what_cannot_be_written_is_told_once_it_can(pipe: Pipe) -> None:
    pipe.begin()
    kept = os.dup(pipe.writing)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, pipe.writing)
    out = stream(pipe)
    for _ in range(3):
        out.write("lost\n")
        assert out.drain(10)
    assert out.left_out == 3
    os.dup2(kept, pipe.writing)
    out.write("line\n")
    assert pipe.lines(2) == ["(3)", "line"]
    os.close(nowhere)
    os.close(kept)


LAST = """
import logging, os, sys
from app.process.logs import log_to_terminal
from app.process.stopping import end_saying
log_to_terminal()
for number in range(3):
    logging.warning("line %d", number)
print("printed")
{end}
"""

LAST_WORDS = "end_saying(lambda: logging.error('last'), os._exit)"


def run(end: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", LAST.format(end=end)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "end,code,last",
    [
        ("sys.exit(3)", 3, "printed"),
        ("raise ValueError('the end')", 1, "ValueError: the end"),
        (LAST_WORDS, 1, "ERROR root: last"),
    ],
)
def test_what_is_said_last_is_written(end: str, code: int, last: str) -> None:
    ended = run(end)
    lines = ended.stdout.splitlines()
    assert ended.returncode == code
    assert [line.rpartition(": ")[2] for line in lines[:4]] == [
        *(f"line {number}" for number in range(3)),
        "printed",
    ]
    assert lines[-1].endswith(last)


@pytest.mark.parametrize(
    "end,code",
    [
        ("sys.exit(3)", 3),
        (LAST_WORDS, 1),
        # What hangs holds the handler's lock.
        (f"logging.getLogger().handlers[0].acquire(); {LAST_WORDS}", 1),
    ],
)
def test_a_process_whose_output_nobody_reads_ends(end: str, code: int, pipe: Pipe) -> None:
    ended = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", LAST.format(end=end)],
        stdin=subprocess.DEVNULL,
        stdout=pipe.writing,
        stderr=pipe.writing,
        check=False,
        timeout=60,
    )
    assert ended.returncode == code


def test_a_crash_below_python_leaves_the_stacks() -> None:
    ended = run("import ctypes; ctypes.string_at(0)")
    assert ended.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in ended.stdout
    assert "(most recent call first):" in ended.stdout
