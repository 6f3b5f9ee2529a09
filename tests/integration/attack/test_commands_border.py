"""Commands read what anybody wrote, and ask a database that may answer anything.

Each ends in time and within its memory, and shows no traceback and nothing unprintable.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from dev import paths
from dev.admin import Admin
from dev.worker import database_settings, environment
from tests.fakes.harmful import HarmfulServer
from tests.integration.support.records import Records, document_id, result
from tests.integration.test_attacks_kafka import JUNK_COPIED_AS_A_LETTER, compressing

MIB = 1024 * 1024

MEMORY = 300 * MIB
"""What a command may have had at most; it has about 100 MB by itself."""

SECONDS = 100.0
"""Within which it ends: `retention` waits a minute for a database that does not answer."""

ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\n\u202e\u009b"

LETTER = [
    ("dead-letter-topic", ESCAPES.encode()),
    ("dead-letter-partition", b"0"),
    ("dead-letter-offset", b"7"),
    ("dead-letter-timestamp", b"1767325446000"),
    ("dead-letter-reason", b"not-json"),
    ("dead-letter-detail", (ESCAPES * 1000).encode()),
    ("dead-letter-attempts", b"1"),
]


class Ended(NamedTuple):
    """How a command ended."""

    arguments: tuple[str, ...]
    code: int
    output: str
    memory: int
    seconds: float

    def wrong(self) -> str | None:
        """What is wrong with it."""
        foreign = {one for one in self.output if not one.isprintable() and one not in "\n\t"}
        if self.code not in (0, 1, 2) or "Traceback" in self.output or foreign:
            return f"{self.arguments}: {self.code}, {foreign}: {self.output[-2000:]}"
        if self.memory > MEMORY:
            return f"{self.arguments}: {self.memory // MIB} MB"
        return None


def peak_memory(pid: int) -> int:
    """Bytes that a process has had at most; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    peaks = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return max(peaks, default=0) * 1024


def ran(given: dict[str, str], *arguments: str) -> Ended:
    """Run a command, and look at its memory meanwhile."""
    began, memory = time.monotonic(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            (sys.executable, "-m", "app.commands.main", *arguments),
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            memory = max(memory, peak_memory(process.pid))
            if time.monotonic() - began > SECONDS:
                process.kill()
            time.sleep(0.02)
        said.seek(0)
        output = said.read().decode(errors="surrogateescape")
    return Ended(arguments, process.returncode, output, memory, time.monotonic() - began)


class Runs:
    """Runs commands side by side: those that work two at a time, those that only wait eight."""

    def __init__(self) -> None:
        self._working = asyncio.Semaphore(2)
        self._waiting = asyncio.Semaphore(8)

    async def run(self, given: dict[str, str], command: tuple[str, ...]) -> Ended:
        """Run a command."""
        waits = command[0] == "retention"
        async with self._waiting if waits else self._working:
            ended = await asyncio.to_thread(ran, given, *command)
        if os.environ.get("ATTACK_SCALE"):
            took = f"{ended.code}, {ended.memory // MIB} MB, {ended.seconds:.1f} s"
            sys.stderr.write(f"{ended.arguments}: {took}\n")
        return ended


MORE = (
    ("dead-letters", "list", "--json"),
    ("dead-letters", "show", "0/0"),
    ("dead-letters", "replay", "--yes", "--force"),
)
"""What only `make attack` runs beside the others."""


def many(unit: bytes, size: int) -> bytes:
    more = b'"more":[%b0],"logs"' % (unit * (size // len(unit)))
    return result(Records(1).one()).replace(b'"logs"', more)


def values(scale: int) -> list[bytes]:
    """What a hostile writer has written, up to fifteen megabytes each."""
    size = min(15, 3 * scale) * MIB
    shown = Records(3).one()
    notes = [{"key": ESCAPES, "value": ESCAPES}] * 1000
    return [
        many(b"1,", size),
        many(b'"\\n",', size),
        many(b"[[[1]]],", MIB // 2),
        bytes(size),
        bytes(100 * MIB),
        b"[" * size,
        b'{"response":' + b'{"a":' * (size // 5),
        b'{"response":"' + ESCAPES.encode() + b'"}',
        result(Records(4).one(namespace=ESCAPES, name=ESCAPES)),
        result(Records(5).one(namespace="_design")),
        result({**shown, "logs": [ESCAPES] * 1000, "name": "x"}),
        result({**shown, "annotations": notes, "duration": 99}),
    ]


async def test_topics_that_were_written_to_harm(
    admin: Admin, kafka_url: str, couchdb_url: str, prefix: str, database: str, scale: int
) -> None:
    topic, letters = f"{prefix}completed0", f"{prefix}persister-dead-letters"
    for one in (topic, letters, f"{prefix}persister-documents"):
        await admin.create_topic(one, max_message_bytes=str(20 * MIB))
    crowd = [(ESCAPES, b"y" * 1000)] * 1000
    async with compressing(kafka_url, "gzip") as kafka:
        for value in values(scale):
            await kafka.send_and_wait(topic, value, headers=[("x" * 1000, bytes(1000))] * 100)
            for headers in (LETTER, JUNK_COPIED_AS_A_LETTER, [*LETTER, *crowd]):
                await kafka.send_and_wait(letters, value, headers=headers)
    given = environment(
        {
            "kafka_url": kafka_url,
            **database_settings(couchdb_url),
            "topic_prefix": prefix,
            "app_id": f"{prefix}persister",
            "database": database,
        }
    )
    sought = Records(3).one()["activationId"]
    async with aiohttp.ClientSession() as http:
        await http.put(f"{couchdb_url}/{database}")
    runs = Runs()
    commands: list[tuple[str, ...]] = [("audit",), ("trace", sought), ("dead-letters", "list")]
    commands += MORE if scale > 1 else ()
    ended = await asyncio.gather(*(runs.run(given | PATH, command) for command in commands))
    assert [wrong for one in ended if (wrong := one.wrong())] == []


PATH = {"PYTHONPATH": str(paths.PROJECT)}

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "without end": (OK + b'\r\n{"rows":[', b'{"id":"a"},' * 10_000),
    "spaces without end": (OK + b"\r\n", b" " * 65_536),
    "a byte at a time": (OK + b"\r\n", b" "),
    "a status line at a time": (b"HTTP/1.1 200 ", b"O"),
    "headers without end": (OK, b"X-A: b\r\n" * 1000),
    "interim answers without end": (b"", b"HTTP/1.1 103 x\r\n\r\n" * 10_000),
    "answers without end": (b"", (OK + b"Content-Length: 2\r\n\r\n{}") * 1000),
    "small rows": (OK + b'\r\n{"rows":[' + b"{}," * 900_000 + b"{}]}", b""),
    "small documents": (
        OK + b'\r\n{"rows":[' + b'{"key":"a","doc":{"a":1}},' * 400_000 + b"{}]}",
        b"",
    ),
    "a document of small values": (
        OK + b'\r\n{"rows":[{"key":"KEY","doc":[' + b"[]," * 2_000_000 + b"0]}]}",
        b"",
    ),
    "a document of many levels": (
        OK + b'\r\n{"rows":[{"key":"KEY","doc":' + b"[" * 900_000 + b"]" * 900_000 + b"}]}",
        b"",
    ),
    "deep": (OK + b"\r\n" + b"[" * 1_000_000, b""),
    "a number": (OK + b"\r\n5", b""),
    "of other types": (OK + b'\r\n{"rows":5,"doc_count":"x","couchdb":[],"userCtx":7}', b""),
    "null": (OK + b"\r\nnull", b""),
    "no UTF-8": (OK + b'\r\n{"db_name":"\xff","instance_start_time":"\xff"}', b""),
    "escapes": (
        b"HTTP/1.1 503 \x1b[2J\r\nX: y\r\n\r\n" + f'{{"reason":"{ESCAPES!a}"}}'.encode(),
        b"",
    ),
    "raw escapes": (b"HTTP/1.1 500 x\r\n\r\n" + ESCAPES.encode(), b""),
    "no HTTP": (b"\x1b[2J\r\n\r\n", b""),
    "another place": (b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\n\r\n", b""),
}
"""What is answered at once, and what then again and again."""


RETENTION = ("retention", "--older-than", "30d", "--method", "delete")

CHOSEN = ("without end", "interim answers without end")
"""Of the answers, those that are tried in CI."""


@contextlib.contextmanager
def hostile(given: dict[str, Any], name: str, key: str) -> Iterator[dict[str, str]]:
    """The environment for a database that answers like that."""
    server = HarmfulServer()
    begin, more = ANSWERS[name]
    server.answer = (begin.replace(b"KEY", key.encode()), more)
    try:
        yield environment({**given, "couchdb_url": f"http://127.0.0.1:{server.port}"}) | PATH
    finally:
        server.close()


@pytest.mark.timeout(1500)
async def test_a_database_that_answers_harm(
    admin: Admin, kafka_url: str, prefix: str, scale: int
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    await admin.create_topic(f"{prefix}persister-dead-letters")
    sought = Records(3).one()
    async with compressing(kafka_url, "gzip") as kafka:
        await kafka.send_and_wait(topic, result(sought))
    given: dict[str, Any] = {
        "kafka_url": kafka_url,
        "couchdb_user": "u",
        "couchdb_password": "never-to-be-shown",
        "topic_prefix": prefix,
        "app_id": f"{prefix}persister",
        "database": "whisk",
    }
    commands: list[tuple[str, ...]] = [("trace", document_id(sought)), ("audit",)]
    if scale > 1:
        commands += [("doctor",), RETENTION]
    wrong = []
    with contextlib.ExitStack() as stack:
        names = ANSWERS if scale > 1 else CHOSEN
        asked = {
            name: stack.enter_context(hostile(given, name, document_id(sought))) for name in names
        }
        tried = [(name, command) for name in names for command in commands]
        runs = Runs()
        found = await asyncio.gather(*(runs.run(asked[name], command) for name, command in tried))
    for (name, _), ended in zip(tried, found, strict=True):
        assert "never-to-be-shown" not in ended.output
        if why := ended.wrong():
            wrong.append(f"{name}: {why}")
    assert wrong == []
