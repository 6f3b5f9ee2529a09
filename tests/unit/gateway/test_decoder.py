"""Large documents are read by another process, and nothing that becomes of it ends the gateway."""

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from models.roles import TopicRole
from openwhisk.gateway import decoding
from openwhisk.gateway.decoder import Decoder
from openwhisk.gateway.records import Record, Taking
from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import FakeDatabase, FakeProducer, document

NOW = 1_767_325_445_123
MOST = 1_000_000
LINE = "2026-01-02T03:04:05.678901234Z stdout: hello"


@pytest.fixture
def lines() -> list[bool]:
    """Whether each accepted record had a log line."""
    return []


@pytest.fixture
def decoder(lines: list[bool]) -> Iterator[Decoder]:
    reading = Decoder(TopicRole.OTHERS, MOST, lines.append, patience=60)
    yield reading
    reading.stop()


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released when a document is about to be sent to the process."""
    begun = threading.Semaphore(0)

    def noted(*arguments: Any) -> None:
        begun.release()
        decoding.send(*arguments)

    monkeypatch.setattr("openwhisk.gateway.decoder.send", noted)
    return begun


async def acquired(semaphore: threading.Semaphore, times: int) -> None:
    """Wait until it was released so often."""
    for _ in range(times):
        assert await asyncio.to_thread(semaphore.acquire, timeout=60)


def encoded(**changed: object) -> bytes:
    return json.dumps(document(**changed)).encode()


def started(decoder: Decoder) -> int:
    """The number of its process."""
    assert decoder.take(encoded(), NOW)
    assert decoder.pid is not None
    return decoder.pid


def in_process(found: bytes, path_id: str | None = None) -> Record | None:
    return Taking(TopicRole.OTHERS, MOST, lambda _: None).take(found, NOW, path_id)


def test_it_decides_as_in_the_gateway_itself(decoder: Decoder, lines: list[bool]) -> None:
    one, large = document(logs=[LINE]), encoded(response={"statusCode": 0, "result": "x" * 900_000})
    without = json.dumps({name: one[name] for name in one if name != "_id"}).encode()
    for found, path_id in (
        (json.dumps(one).encode(), None),
        (large, None),
        (memoryview(large), None),
        (bytearray(large), None),
        (without, one["_id"]),
        (without, None),
        (b"", None),
        (b"{}", None),
        (b"[" * 100_000, None),
        (b"{" + b"x" * MOST, None),
    ):
        assert decoder.take(found, NOW, path_id) == in_process(bytes(found), path_id)
    assert lines == [True, False, False, False, True]


def test_one_process_reads_all(decoder: Decoder) -> None:
    assert decoder.pid is None
    assert decoder.take(encoded(), NOW)
    first = decoder.pid
    assert decoder.take(encoded(), NOW)
    assert decoder.pid == first


def test_it_is_nicer_than_the_gateway_and_bounded(decoder: Decoder) -> None:
    pid = started(decoder)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + decoding.NICER)
    memory, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
    assert memory == decoding.OWN_MEMORY + decoding.MEMORY_RATIO * MOST
    seconds, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
    assert decoding.MOST_SECONDS <= seconds < 2 * decoding.MOST_SECONDS


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2],
)
def test_what_a_supervisor_sends_to_all_is_for_the_gateway_only(
    decoder: Decoder, number: int
) -> None:
    pid = started(decoder)
    os.kill(pid, number)
    assert decoder.take(encoded(), NOW)
    assert decoder.pid == pid


def test_another_one_is_started_when_it_has_ended(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[subprocess.Popen[bytes]] = []

    def noted(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        run.append(popen(*arguments, **more))
        return run[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", noted)
    pid = started(decoder)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert decoder.take(encoded(), NOW)
    assert decoder.pid != pid
    closed = [(one.stdin and one.stdin.closed, one.stdout and one.stdout.closed) for one in run]
    assert closed == [(True, True), (False, False)]


def test_one_that_hangs_is_ended(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(started(decoder), signal.SIGSTOP)
    with monkeypatch.context() as hasty:
        hasty.setattr(decoder, "_patience", 0.1)
        assert decoder.take(b"[" * MOST, NOW) is None
    (line,) = told(caplog)
    assert "ended (no answer within 0.1 s) while it read one of 1000000 bytes" in line
    assert decoder.take(encoded(), NOW)


def test_the_kernel_ends_it_before_the_gateway(decoder: Decoder) -> None:
    assert Path(f"/proc/{started(decoder)}/oom_score_adj").read_text().strip() == "1000"


@pytest.mark.parametrize("name", ["name", "subject", "version", "cause"])
def test_the_longest_texts_take_no_more_memory_than_it_allows_for(name: str) -> None:
    size = 7_000_000
    large = json.dumps(document(**{name: "x" * size + "🚀"}), ensure_ascii=False).encode()
    reading = Decoder(TopicRole.OTHERS, len(large), lambda _: None, patience=60)
    try:
        pid = started(reading)
        before = highest(pid)
        reading.take(large, NOW)
        assert reading.pid == pid
        assert highest(pid) - before < decoding.MEMORY_RATIO * len(large)
    finally:
        reading.stop()


def highest(pid: int) -> int:
    """Most bytes of memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(found.split()[1]) * 1024


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def test_a_document_that_ends_it_goes_to_couchdb(
    decoder: Decoder, asking: threading.Semaphore, caplog: pytest.LogCaptureFixture
) -> None:
    pid = started(decoder)
    os.kill(pid, signal.SIGSTOP)
    taking = asyncio.create_task(asyncio.to_thread(decoder.take, b"[" * MOST, NOW))
    await acquired(asking, 2)
    os.kill(pid, signal.SIGKILL)
    assert await taking is None
    assert decoder.take(encoded(), NOW)
    (line,) = told(caplog)
    assert "ended (SIGKILL) while it read one of 1000000 bytes, which goes to CouchDB" in line


def test_a_document_that_takes_too_much_memory_goes_to_couchdb(
    decoder: Decoder, caplog: pytest.LogCaptureFixture
) -> None:
    pid = started(decoder)
    large = encoded(response={"statusCode": 0, "result": "x" * 900_000})
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (1, hard))
    assert decoder.take(large, NOW) is None
    assert "(out of memory)" in told(caplog)[0]
    assert decoder.take(large, NOW)


def test_documents_go_to_couchdb_while_it_cannot_be_started(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert decoder.take(encoded(), NOW) is None
    (line,) = told(caplog)
    assert line.startswith("cannot start a process to read large documents: No such file")
    monkeypatch.undo()
    assert decoder.take(encoded(), NOW)


async def test_stopping_does_not_wait_for_a_document(
    decoder: Decoder, asking: threading.Semaphore, caplog: pytest.LogCaptureFixture
) -> None:
    pid = started(decoder)
    os.kill(pid, signal.SIGSTOP)
    taking = asyncio.create_task(asyncio.to_thread(decoder.take, b"[" * MOST, NOW))
    await acquired(asking, 2)
    decoder.stop()
    assert await taking is None
    assert decoder.take(encoded(), NOW) is None
    assert not told(caplog)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_is_small() -> None:
    script = "import sys, openwhisk.gateway.decoding; print(*sys.modules)"
    modules = subprocess.check_output(  # noqa: S603 - our own code
        [sys.executable, "-c", script], text=True
    ).split()
    assert not {"aiohttp", "aiokafka", "asyncio", "pydantic"}.intersection(modules)


def test_it_ends_with_a_gateway_that_is_killed() -> None:
    script = f"""
        import os, signal
        from models.roles import TopicRole
        from openwhisk.gateway.decoder import Decoder

        decoder = Decoder(TopicRole.OTHERS, {MOST}, print, patience=60)
        assert decoder.take({encoded()!r}, {NOW})
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", textwrap.dedent(script)],
        check=False,
        capture_output=True,
        timeout=60,  # ends when all have closed the standard error, its child too
    )
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, b"")


def test_it_knows_nothing_of_the_gateways_secrets(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSISTER_COUCHDB_PASSWORD", "of-the-gateway")
    environment = Path(f"/proc/{started(decoder)}/environ").read_bytes()
    assert b"PYTHONPATH=" in environment
    assert b"of-the-gateway" not in environment


@pytest.fixture
def cpu_time() -> Iterator[None]:
    """Has the limit of this process's CPU time put back, or the kernel ends it some tests later."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    yield
    resource.setrlimit(resource.RLIMIT_CPU, before)


@pytest.mark.usefixtures("cpu_time")
def test_what_is_not_foreseen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise LookupError("unforeseen")

    monkeypatch.setattr(Taking, "take", fails)
    questions, answers = BytesIO(), BytesIO()
    decoding.send(questions, decoding.Question(NOW, None), b"{}")
    decoding.send(questions, decoding.Question(NOW, None), b"{}")
    questions.seek(0)
    decoding.answer_all(questions, answers, TopicRole.OTHERS, MOST)
    answers.seek(0)
    for _ in range(2):
        head, *_ = decoding.receive(answers)
        assert "LookupError: unforeseen" in msgspec.msgpack.decode(head)["error"]


@pytest.fixture
def of_gateway(monkeypatch: pytest.MonkeyPatch) -> list[Decoder]:
    """The decoders of gateways that are started from here on."""
    made: list[Decoder] = []

    def noted(*arguments: Any, **more: Any) -> Decoder:
        made.append(Decoder(*arguments, **more))
        return made[-1]

    monkeypatch.setattr("openwhisk.gateway.server.Decoder", noted)
    return made


def of_size(size: int) -> dict[str, Any]:
    return document(response={"statusCode": 0, "result": "x" * size})


async def test_nobody_waits_for_a_document_that_is_being_read(
    of_gateway: list[Decoder],
    asking: threading.Semaphore,
    start: StartGateway,
    producer: FakeProducer,
) -> None:
    gateway = await start(publish_deadline=3600)
    (decoder,) = of_gateway
    assert (await gateway.put_document(of_size(200_000))).status == 201
    assert decoder.pid is None
    assert (await gateway.put_document(of_size(300_000))).status == 201
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGSTOP)
    large = asyncio.ensure_future(
        asyncio.gather(
            gateway.put_document(of_size(6_000_000)), gateway.bulk_documents([of_size(300_000)])
        )
    )
    async with asyncio.timeout(60):
        await acquired(asking, 2)
        for other in (document(), of_size(200_000)):
            assert (await gateway.put_document(other)).status == 201
        assert not large.done()
        os.kill(decoder.pid, signal.SIGCONT)
        assert [answer.status for answer in await large] == [201, 201]
    assert len(producer.sent) == 6


async def test_what_ends_it_is_stored_by_couchdb(
    of_gateway: list[Decoder],
    asking: threading.Semaphore,
    start: StartGateway,
    database: FakeDatabase,
) -> None:
    gateway = await start()
    assert (await gateway.put_document(of_size(300_000))).status == 201
    (decoder,) = of_gateway
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGSTOP)
    large = of_size(300_000)
    storing = asyncio.ensure_future(gateway.put_document(large))
    await acquired(asking, 2)
    os.kill(decoder.pid, signal.SIGKILL)
    assert (await storing).status == 201
    assert list(database.held) == [large["_id"]]
