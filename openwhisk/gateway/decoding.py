"""`python -m openwhisk.gateway.decoding`: reads large documents in a process of its own.

The gateway starts it (`openwhisk.gateway.decoder`), sends it a document on its standard input, and
reads on its standard output what becomes of it. It ends when its input does, whatever the gateway
dies of.
"""

import os
import resource
import struct
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from models.roles import TopicRole
from openwhisk.gateway.log_mode import has_line
from openwhisk.gateway.records import Record, Taking

NICER: Final = 5
"""By how much it is nicer than the gateway, with which it may have to share a core."""

OWN_MEMORY: Final = 64 * 1024 * 1024
"""Bytes of memory that it may take without a document; it needs a quarter of them."""

MEMORY_RATIO: Final = 13
"""How many times its own size a document may take. A single character beyond the BMP makes Python
keep four bytes for each of a text, and a `cause` with one takes twelve times its size.
"""

MOST_SECONDS: Final = 60
"""CPU time that a document may take; the largest that a gateway can be set to accept take ten."""

OUT_OF_MEMORY: Final = 3
"""The exit code when a document takes more memory than it may."""

_lengths = struct.Struct("<3Q")

Bytes = bytes | bytearray | memoryview


class Question(msgspec.Struct):
    """What is asked about a document, which follows.

    Attributes:
        now: epoch millis.
        path_id: as in `Taking.take`.
    """

    now: int
    path_id: str | None


class Answer(msgspec.Struct):
    """What becomes of a document; the message and the document of an accepted one follow.

    Attributes:
        id: the id of an accepted one, else None.
        updated: as in `Record`.
        revision: the same.
        has_line: whether its `logs` have a log line.
        error: a traceback, if reading it failed in a way that is not foreseen.
    """

    id: str | None = None
    updated: int = 0
    revision: str = ""
    has_line: bool = False
    error: str = ""


def send(
    stream: IO[bytes], head: Question | Answer, first: Bytes = b"", second: Bytes = b""
) -> None:
    """Write a question or an answer, and what follows it.

    Raises:
        OSError: the other process has ended.
    """
    encoded = msgspec.msgpack.encode(head)
    stream.write(_lengths.pack(len(encoded), len(first), len(second)))
    for part in (encoded, first, second):
        stream.write(part)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, bytes, bytes]:
    """Read a question or an answer, as it is encoded, and what follows it.

    Raises:
        EOFError: the other process has ended.
    """
    head, first, second = _lengths.unpack(_exactly(stream, _lengths.size))
    return _exactly(stream, head), _exactly(stream, first), _exactly(stream, second)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


_question = msgspec.msgpack.Decoder(Question).decode


def answer_all(questions: IO[bytes], answers: IO[bytes], role: TopicRole, max_bytes: int) -> None:
    """Answer questions until there are no more.

    Args:
        questions: from the gateway.
        answers: to the gateway.
        role: as in `Taking`.
        max_bytes: the same.

    Raises:
        MemoryError: a document takes more memory than there is.
    """
    logs: list[bytes] = []
    taking = Taking(role, max_bytes, logs.append)
    while True:
        try:
            head, document, _ = receive(questions)
        except EOFError:
            return
        question = _question(head)
        _allow(MOST_SECONDS)
        record: Record | None = None
        answer = Answer()
        try:
            record = taking.take(document, question.now, question.path_id)
            if record is not None:
                answer = Answer(record.id, record.updated, record.revision, has_line(logs.pop()))
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - raised where the answer is awaited
            answer = Answer(error=traceback.format_exc())
        if record is None:
            send(answers, answer)
        else:
            send(answers, answer, record.message, record.document)


def _allow(seconds: int) -> None:
    """Have the kernel end this process once it has taken so many seconds of CPU time more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds)


def _limit(what: int, most: int) -> None:
    """Set a soft limit, which may not be above the hard one."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _end_before_the_gateway() -> None:
    """Have a kernel that is out of memory end this process first, which can be started again."""
    with suppress(OSError):  # there is no such file, or it must not be written
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(role: str, max_bytes: str) -> int:
    """Run until the standard input ends; returns the exit code."""
    os.nice(NICER)
    _end_before_the_gateway()
    _limit(resource.RLIMIT_DATA, OWN_MEMORY + MEMORY_RATIO * int(max_bytes))
    try:
        answer_all(sys.stdin.buffer, sys.stdout.buffer, TopicRole(role), int(max_bytes))
    except MemoryError:
        return OUT_OF_MEMORY
    except BrokenPipeError:  # the gateway has ended
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
