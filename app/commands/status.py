"""`persister status`: shows the status of a running worker, for people and for programs."""

import http.client
import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from app.commands.printing import print_json, print_table
from app.monitoring.page.wording import THIN_SPACE
from app.process.hosts import reachable
from app.process.printable import printable, shown
from app.process.words import system_reason
from app.settings import WorkerSettings, load

READY, NOT_READY, NO_ANSWER = 0, 1, 2
SECONDS = 10.0
"""For all of the answer."""

LARGEST = 8 * 1024 * 1024
"""Bytes of an answer; a partition takes some three hundred."""


class _Partition(msgspec.Struct):
    lag: float | None = None
    committed: float | None = None
    end: float | None = None


class _Database(msgspec.Struct):
    down: bool = False
    failing_since: str | None = None
    address: str = "?"
    last_error: str | None = None


class _Finding(msgspec.Struct):
    what: str = ""
    why: str = ""
    do: str = ""


class _Summary(msgspec.Struct):
    headline: str = ""
    text: str = ""
    findings: list[_Finding] = []


class _Answer(msgspec.Struct):
    """What is shown of an answer, and of which form it must be."""

    ready: bool
    not_ready: str | None = None
    summary: _Summary = msgspec.field(default_factory=_Summary)
    topics: dict[str, dict[str, _Partition]] = {}
    outcomes: dict[str, dict[str, int | dict[str, int]]] = {}
    database: _Database = msgspec.field(default_factory=_Database)


_check = msgspec.json.Decoder(_Answer).decode


class NoAnswerError(Exception):
    """The worker does not answer, or not with its status; the message says what to do."""


@click.command("status")
@click.option("--url", help="The worker's address; PERSISTER_WEB_HOST and _PORT by default.")
@click.option("--json", "as_object", is_flag=True, help="Everything in /status, as JSON.")
def status(url: str | None, *, as_object: bool) -> None:
    """Tell what a running worker is doing.

    Exit code 0: it is ready. 1: it is not. 2: it does not answer.
    """
    settings = load().worker
    try:
        answer = fetch(url or _address(settings), settings)
    except NoAnswerError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(NO_ANSWER)
    if as_object:
        print_json(answer)
    else:
        show(answer)
    sys.exit(READY if answer.get("ready") else NOT_READY)


def _address(settings: WorkerSettings) -> str:
    host = reachable(settings.web_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web_port}"


def fetch(url: str, settings: WorkerSettings) -> dict[str, Any]:
    """What `GET /status` of a worker says.

    Args:
        url: `http://host:port` of the endpoint.
        settings: for the token.

    Raises:
        NoAnswerError: nobody answers there, or the token is missing or wrong.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise NoAnswerError(f"--url {shown(url)}: expected http://host:port")
    headers = {}
    token = settings.web_token.get_secret_value() if settings.web_token is not None else ""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    late = threading.Event()
    try:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=SECONDS)
    except ValueError:
        raise NoAnswerError(f"--url {shown(url)}: expected http://host:port") from None
    try:
        with _cut_off(connection, late):
            connection.request("GET", "/status", headers=headers)
            response = connection.getresponse()
            body = response.read(LARGEST + 1)
        if late.is_set():
            raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = f"nothing whole within {SECONDS:g} s" if late.is_set() else _why(error)
        raise NoAnswerError(
            f"no worker answers at {shown(url)} ({shown(why)}): "
            "is it running there? --url, PERSISTER_WEB_HOST and PERSISTER_WEB_PORT say where it is "
            "looked for"
        ) from None
    finally:
        connection.close()
    if token:
        # Whatever is shown of an answer: somebody else may listen there, and give back what came.
        body = body.replace(token.encode(), b"***")
    if response.status != http.HTTPStatus.OK:
        raise NoAnswerError(f"{shown(url)}/status: HTTP {response.status}: {shown(body).strip()}")
    if len(body) > LARGEST:
        raise NoAnswerError(f"{shown(url)}/status: longer than any worker's answer")
    try:
        _check(body)
        answer: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswerError(f"{shown(url)}/status: not a worker's answer: {shown(body)}") from None
    return answer


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return system_reason(error)
    return str(error) or type(error).__name__


@contextmanager
def _cut_off(connection: http.client.HTTPConnection, late: threading.Event) -> Iterator[None]:
    """Connect, and end the connection when it takes too long, which `late` then says.

    Its own timeout counts from the last byte, and a server may send one at a time.
    """
    connection.connect()
    timer = threading.Timer(SECONDS, _end, [connection.sock, late])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)


def show(answer: Mapping[str, Any]) -> None:
    """Print the state: first, in words, whether all is well, then what is read and what became."""
    why = answer.get("not_ready")
    click.echo(f"not ready: {shown(why)}" if why else "ready")
    for line in _told(answer.get("summary", {})):
        # The page's thousands are apart by a space that not every terminal has.
        click.echo(shown(line.replace(THIN_SPACE, " ")))
    if topics := answer.get("topics", {}):
        print_table(_partitions(topics))
    for line in _lines(answer):
        click.echo(printable(line))


def _told(summary: Mapping[str, Any]) -> Iterator[str]:
    """The first words of the status page."""
    findings = summary.get("findings", [])
    if headline := summary.get("headline"):
        yield f"{headline}:" if findings else f"{headline}. {summary.get('text', '')}"
    for one in findings:
        yield f"- {one.get('what', '')}"
        for label, text in (("", one.get("why")), ("What to do: ", one.get("do"))):
            if text:
                yield f"  {label}{text}"


def _partitions(topics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    table = Table("topic", "partition", "lag", "committed", "end", box=None, pad_edge=False)
    for topic, partitions in topics.items():
        for number, state in partitions.items():
            cells = (_number(state.get(key)) for key in ("lag", "committed", "end"))
            table.add_row(escape(printable(topic)), escape(printable(number)), *cells)
    return table


def _number(value: object) -> str:
    return "?" if value is None else f"{value}"


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    for step in ("route", "store"):
        outcomes = answer.get("outcomes", {}).get(step, {})
        parts = [
            f"{outcome} {sum(count.values()) if isinstance(count, dict) else count}"
            for outcome, count in outcomes.items()
        ]
        yield f"{step}: {', '.join(parts)}"
    database = answer.get("database", {})
    state = "takes documents"
    if database.get("down") or database.get("failing_since"):
        state = "down" if database.get("down") else "fails"
    yield f"database {shown(database.get('address', '?'))}: {state}"
    if state != "takes documents":
        yield f"  {shown(database.get('last_error'))}"
