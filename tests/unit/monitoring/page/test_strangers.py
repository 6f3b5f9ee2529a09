"""Odd requests to a worker's endpoint: none is an error of ours, or shows what it guards."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from app.monitoring.page.rendering import STATIC, static_files
from app.process.seldom import Malformed
from tests.unit.monitoring.page.test_handlers import (
    HTML,
    ID,
    LOOPBACK,
    OTHERS,
    TOKEN,
    Connect,
    connect,
)

__all__ = ["connect"]

METHODS = [
    "GET",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "PATCH",
    "X\u00e9",
]

PATHS = [
    "/",
    "*",
    "//",
    "///evil.example/",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%00",
    "/%ff%fe",
    "/\u00e9",
    "http://evil.example/",
    "http://[/",
    "evil.example:443",
    "/?" + "a=b&" * 1500,
    "/?%",
    "/?next=%0d%0aSet-Cookie:a=b",
    STATIC,
    STATIC + "../sign_in.html",
    STATIC + "..%2f..%2fview.py",
    STATIC + "%2e%2e/rendering.py",
    STATIC + "page.css/",
    STATIC + "page.css%00",
    "/static/page.css",
    "/history?since=nan",
    "/history?since=inf",
    "/history?since=1e999",
    "/history?since=" + "9" * 5000,
    "/history?since=%00",
    "/trace",
    "/trace?activation=%1b%5b2J",
    "/trace?activation=" + "f" * 5000,
    "/trace/" + ID + "?namespace=" + "%3Cscript%3E" * 100,
    "/trace/" + ID + "?format=" + "x" * 1000,
    "/trace/_design%2Fx",
    "/trace/..%2f..%2fstatus",
    "/sign-in?next=//evil.example",
    "/sign-in?next=%00",
    "/sign-in?next=" + "/" * 5000,
    "/sign-out",
    "/health/live/..%2f..%2fhistory",
    "/health/ready;/../history",
    "/log?level=debug",
    "/log?level=%1b",
]

HEADERS: list[dict[str, str]] = [
    {},
    {"Host": "evil.example"},
    {"Host": "[::1"},
    {"Host": "127.0.0.1:x:y"},
    {"Host": ""},
    {"Host": "127.0.0.1, evil.example"},
    {"Host": "localhost.evil.example"},
    {"Authorization": "Bearer " + "x" * 7000},
    {"Authorization": "Bearer \u00e9"},
    {"Cookie": "persister-session=" + "9" * 7000},
    {"Cookie": "; ".join(f"a{n}=b" for n in range(800))},
    {"Cookie": 'persister-session="\\000.a.b"; $Version=1; \u00e9=\u00e9'},
    {"Accept": "text/html," * 700},
    {"Accept-Encoding": "gzip;q=x, deflate;q=9, br" + ",gzip" * 1000},
    {"If-None-Match": "*", "Range": "bytes=0-,1-,2-", "If-Modified-Since": "x"},
    {"X-Forwarded-Proto": "https, " * 500, "X-Forwarded-Host": "evil.example"},
    {"Origin": "http://[", "Sec-Fetch-Site": "none"},
    {"Content-Type": "multipart/form-data; boundary=" + "x" * 5000},
    {"Content-Type": "application/x-www-form-urlencoded; charset=utf-7"},
    {"Transfer-Encoding": "chunked"},
    {"Expect": "100-continue"},
    {"Expect": "x"},
    {"Upgrade": "h2c", "Connection": "Upgrade"},
    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "x"},
]


async def told(client: TestClient[Any, Any], method: str, path: str, given: dict[str, str]) -> str:
    """The whole answer to a request, as it comes."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    headers = {"Host": "127.0.0.1", "Connection": "close", **given}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    body = "0\r\n\r\n" if "Transfer-Encoding" in headers else ""
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    try:
        async with asyncio.timeout(10):
            return (await reader.read()).decode(errors="replace")
    except (ConnectionError, TimeoutError):
        return ""
    finally:
        writer.close()


def good(answer: str) -> bool:
    """Whether it is a refusal or a page, and no error of ours; nothing at all will do."""
    return not answer or (answer.startswith("HTTP/1.") and answer.split(" ")[1][0] in "1234")


def guarded(answer: str) -> bool:
    """Whether it shows nothing that needs the token."""
    return not any(secret in answer for secret in (TOKEN, "guest-secrets", "samples", ">line<"))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as an error, by a process that calms its web server."""
    for record in caplog.records:
        Malformed().filter(record)
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
async def test_no_path_is_an_error_or_a_way_around_the_token(
    connect: Connect, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    client = await connect(address=address)
    for path in PATHS:
        for method in METHODS:
            answer = await told(client, method, path, HTML)
            assert good(answer), (method, path[:50], answer[:200])
            assert guarded(answer), (method, path[:50], answer[:200])
            assert "\r\nset-cookie" not in answer.lower()
            assert "evil.example\r\n" not in answer
    assert errors(caplog) == []


@pytest.mark.parametrize("path", ["/", "/history", "/sign-in", "/health/ready", f"/trace/{ID}"])
async def test_no_header_is_an_error_or_a_way_around_the_token(
    connect: Connect, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    client = await connect(address=OTHERS)
    for headers in HEADERS:
        for method in ("GET", "POST"):
            answer = await told(client, method, path, headers)
            assert good(answer), (method, headers, answer[:200])
            assert guarded(answer), (method, headers, answer[:200])
    assert errors(caplog) == []


async def test_what_is_shown_is_kept_by_no_cache_and_framed_by_no_page(connect: Connect) -> None:
    client = await connect()
    headers = {"Authorization": f"Bearer {TOKEN}", **HTML}
    for path in ("/history", f"/trace/{ID}", "/sign-in", "/none", "/health/ready"):
        answer = await client.get(path, headers=headers)
        assert answer.headers["Cache-Control"] == "no-store", path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        if answer.content_type == "text/html":
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert static_files()
