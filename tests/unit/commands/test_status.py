"""What `persister status` makes of a worker's answer."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.commands.status import SECONDS, NoAnswerError, fetch, show
from app.monitoring.page.wording import number
from app.settings import WorkerSettings
from tests.fakes.harmful import HarmfulServer

Shown = Callable[[dict[str, Any]], list[str]]

ANSWER: dict[str, Any] = {
    "ready": False,
    "not_ready": "the database [bold]takes\x1b[2J no documents",
    "topics": {"completed0": {"0": {"committed": 5, "end": 12, "lag": 7}, "1": {}}},
    "outcomes": {
        "route": {"consumed": 7, "skipped": {"acknowledgement": 2, "no-record": 1}},
        "store": {"consumed": 0},
    },
    "database": {"address": "http://db/x", "down": True, "last_error": "HTTP 503\nmaintenance"},
}


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[[dict[str, Any]], list[str]]:
    def show_all(answer: dict[str, Any]) -> list[str]:
        show(answer)
        return capsys.readouterr().out.splitlines()

    return show_all


def test_the_verdict_comes_first_and_is_printable(shown: Shown) -> None:
    assert shown(ANSWER)[0] == "not ready: the database [bold]takes\\x1b[2J no documents"
    assert shown({"ready": True})[0] == "ready"


def test_what_the_page_says_is_said(shown: Shown) -> None:
    finding = {"level": "mind", "what": "Nothing is read.", "why": "Kafka has a.", "do": "Set\x1b."}
    summary = {"headline": "Look", "text": "Nothing is read.", "findings": [finding]}
    assert shown({"ready": True, "summary": summary})[1:5] == [
        "Look:",
        "- Nothing is read.",
        "  Kafka has a.",
        "  What to do: Set\\x1b.",
    ]
    well = {"headline": "All is well", "text": "1 worker reads 1 topic.", "findings": []}
    assert shown({"ready": True, "summary": well})[1] == "All is well. 1 worker reads 1 topic."


def test_thousands_are_apart_by_a_space_that_every_terminal_has(shown: Shown) -> None:
    well = {"headline": "All is well", "text": f"{number(1739)} records are on the way."}
    assert shown({"ready": True, "summary": well})[1] == (
        "All is well. 1 739 records are on the way."
    )


def test_partitions_and_outcomes_are_lines(shown: Shown) -> None:
    lines = shown(ANSWER)
    assert "completed0  0          7    5          12" in lines
    assert "completed0  1          ?    ?          ?" in lines
    assert "route: consumed 7, skipped 3" in lines


def test_a_database_that_is_down_says_why_on_one_line(shown: Shown) -> None:
    assert shown(ANSWER)[-2:] == ["database http://db/x: down", "  HTTP 503\\nmaintenance"]


Answering = Callable[[bytes, bytes], str]
"""A server that sends the first bytes, and then the others again and again; its address."""


@pytest.fixture
def server() -> Iterator[HarmfulServer]:
    running = HarmfulServer()
    yield running
    running.close()


@pytest.fixture
def answering(server: HarmfulServer) -> Answering:
    def start(begin: bytes, more: bytes) -> str:
        server.answer = (begin, more)
        return f"http://127.0.0.1:{server.port}"

    return start


class AfterDrips(threading.Thread):
    """Calls a function when a server has dripped for a while; never where it does not."""

    def __init__(self, server: HarmfulServer, function: Callable[..., None], args: Any) -> None:
        super().__init__()
        self._server, self._function, self._args = server, function, args

    def run(self) -> None:
        self._server.dripped.wait()
        self._function(*self._args)

    def cancel(self) -> None:
        """Nothing has to be."""


OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "begin,more,why",
    [
        (OK + b"{", b" " * 65_536, "longer than any worker's answer"),
        (OK, b" ", "nothing whole within 10 s"),
        (b"HTTP/1.1 200 ", b"O", "nothing whole within 10 s"),
        (b"", b"x", "nothing whole within 10 s"),
        (b"\x1b[2J\r\n", b"", "no worker answers"),
        (OK[:-2], b"X: y\r\n", "no worker answers"),
        (OK + b"[]", b"", "not a worker's answer"),
        (OK + b"[" * 100_000, b"", "not a worker's answer"),
        (OK + b'{"ready":true,"x":' + b"[" * 25_000 + b"]" * 25_000 + b"}", b"", "not a worker's"),
        (OK + b'{"ready":"\x1b[2J"}', b"", "not a worker's answer"),
        (OK + b'{"ready":true,"topics":[1]}', b"", "not a worker's answer"),
        (OK + b'{"ready":true,"outcomes":{"route":{"a":"b"}}}', b"", "not a worker's answer"),
        (b"HTTP/1.1 500 \x1b[2J\r\n\r\n\x1b[2J", b"", "HTTP 500"),
    ],
)
def test_whoever_answers_it_ends_in_one_printable_line(
    server: HarmfulServer,
    answering: Answering,
    monkeypatch: pytest.MonkeyPatch,
    begin: bytes,
    more: bytes,
    why: str,
) -> None:
    asked: list[float] = []

    def timer(seconds: float, *ending: Any) -> threading.Thread:
        """Goes off when the server drips, instead of after some seconds."""
        asked.append(seconds)
        return AfterDrips(server, *ending)

    monkeypatch.setattr(threading, "Timer", timer)
    with pytest.raises(NoAnswerError, match=why) as raised:
        fetch(answering(begin, more), WorkerSettings())
    assert asked == [SECONDS]
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 2000


def test_what_a_worker_answers_is_taken_whole(answering: Answering) -> None:
    assert fetch(answering(OK + json.dumps(ANSWER).encode(), b""), WorkerSettings()) == ANSWER


def test_an_address_that_is_none() -> None:
    with pytest.raises(NoAnswerError, match="expected http://host:port"):
        fetch("http://127.0.0.1:x", WorkerSettings())


@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized"])
def test_an_answer_that_repeats_the_token_does_not_show_it(
    answering: Answering, status: str
) -> None:
    token = "correct-horse-battery"
    given = answering(f"HTTP/1.1 {status}\r\n\r\nyou said {token}".encode(), b"")
    with pytest.raises(NoAnswerError, match=r"you said \*\*\*") as raised:
        fetch(given, WorkerSettings(web_token=token))
    assert token not in str(raised.value)
