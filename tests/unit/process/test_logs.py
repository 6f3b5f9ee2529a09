"""Records are made here as a library makes them, and formatted as a handler does."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp.http_exceptions import BadHttpMessage, InvalidHeader

from app.process.logs import (
    LONGEST_MESSAGE,
    JsonFormatter,
    LineFormatter,
    SafeRecord,
    protect_logs,
    without_credentials,
)

SECRET = "d2hpc2s6c2VjcmV0"

Line = Callable[..., str]


@pytest.fixture
def line() -> Iterator[Line]:
    """What a handler writes for a call of a logger."""
    before = logging.getLogRecordFactory()
    protect_logs()
    logger = logging.getLogger("tests.logs")

    def written(message: str, *args: Any, **options: Any) -> str:
        record = logger.makeRecord(
            "tests.logs", logging.ERROR, "", 1, message, args, options.get("exc_info")
        )
        assert isinstance(record, SafeRecord)
        return logging.Formatter("%(message)s").format(record)

    yield written
    logging.setLogRecordFactory(before)


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    try:
        raise error from cause  # noqa: TRY301 - to have a traceback
    except BaseException:  # noqa: BLE001 - whatever it is
        return sys.exc_info()


@pytest.mark.parametrize(
    "text",
    [
        f"Invalid header: b'Authorization: Basic {SECRET}'",
        f"Authorization : Basic {SECRET}",
        f"AUTHORIZATION:Negotiate {SECRET}",
        f"<CIMultiDict('Authorization': 'Basic {SECRET}')>",
        f"(b'Authorization', b'Basic {SECRET}')",
        f"Authorization Basic {SECRET}",
        f"Proxy-Authorization: {SECRET}",
        f"Cookie: a=b; AuthSession={SECRET}",
        f"Cookie AuthSession={SECRET}; b",
        f"Set-Cookie: AuthSession={SECRET}; Version=1",
        f"X-Auth-CouchDB-Token: {SECRET}",
        f"bearer\t{SECRET}",
        f"GET http://whisk:{SECRET}@127.0.0.1:5984/db HTTP/1.1",
    ],
)
def test_credentials_are_left_out(text: str, line: Line) -> None:
    for written in (line("%s", text), line(text), line("%r", ValueError(text))):
        assert SECRET not in written
        assert "***" in written
    assert SECRET not in line("failed", exc_info=raised(ValueError(text)))


@pytest.mark.parametrize(
    "text",
    [
        "TopicAuthorizationFailedError: completed0",
        "no right: authorization failed for topic completed0",
        "kafka://127.0.0.1:9092 does not answer",
        "a@b.example, at 10:00",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert without_credentials(text) == text


def test_what_a_parser_quotes_is_not_shown(line: Line) -> None:
    for error in (BadHttpMessage(f"odd \r\n {SECRET}"), InvalidHeader(f"{SECRET}\x00:")):
        for info in (raised(error), raised(ValueError("outer"), error)):
            written = line("Error handling request", exc_info=info)
            assert SECRET not in written
            assert "not shown" in written
        for template in ("%s", "%r"):
            assert SECRET not in line(template, error)


def test_foreign_text_begins_no_line_of_its_own(line: Line) -> None:
    assert line("refused: %s", "a\n2026 ERROR forged\x1b[2J") == (
        r"refused: a\n2026 ERROR forged\x1b[2J"
    )
    assert line("first\nsecond \x1b[1m") == "first\nsecond \\x1b[1m"
    assert "\x1b" not in line("failed", exc_info=raised(ValueError("\x1b[2J")))
    assert line("%(a)s", {"a": "x\ny"}) == r"x\ny"


def test_numbers_and_other_values_are_filled_in_as_ever(line: Line) -> None:
    assert line("%d of %5.1f %r %s", 1, 2.5, ["a\n"], None) == "1 of   2.5 ['a\\n'] None"


def test_a_line_has_a_bounded_length(line: Line) -> None:
    bound = 2 * LONGEST_MESSAGE
    assert len(line("%s", "x" * 10**6)) < bound
    assert len(line("x" * 10**6)) < bound
    assert len(line("%s", ["x" * 10**6])) < bound
    assert len(line("failed", exc_info=raised(ValueError("x" * 10**6)))) < bound


@pytest.mark.parametrize(
    "message,shown",
    [
        ("[^--OwnTopics]: Created topic documents. ", "Created topic documents."),
        ("[^-Agent: app.x]: failed", "failed"),
        ("[not a service]: kept", "[not a service]: kept"),
    ],
)
def test_a_line_tells_when_with_its_zone_and_what_without_our_classes(
    message: str, shown: str
) -> None:
    record = logging.LogRecord("app.kafka.discovery", logging.INFO, "", 1, message, (), None)
    record.created = 1_795_779_290.878
    expected = f"2026-11-27T11:34:50.878Z INFO kafka.discovery: {shown}"
    assert LineFormatter().format(record) == expected


def test_a_json_line_holds_what_a_person_would_read() -> None:
    record = SafeRecord(
        "app.couchdb.writer",
        logging.ERROR,
        "",
        1,
        "[^-Writer]: %s",
        ("a\nb",),
        raised(ValueError("x")),
    )
    record.created = 1_767_322_800.5
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("traceback").endswith("ValueError: x")
    assert told == {
        "time": "2026-01-02T03:00:00.500Z",
        "level": "error",
        "part": "couchdb.writer",
        "message": "a\\nb",
    }
