"""What a browser may see, and how it signs in."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr
from yarl import URL

from app.monitoring.history import History
from app.monitoring.page.handlers import LOG_LINES, LONGEST_FORM, Pages
from app.monitoring.page.rendering import STATIC, static_files
from app.monitoring.sign_in import ATTEMPTS
from app.monitoring.trace.account import Account
from app.monitoring.trace.activation import ActivationId
from app.monitoring.trace.desk import TraceBusyError
from app.monitoring.web import Web

TOKEN = "0123456789-abcdef"
ID = "0123456789abcdef0123456789abcdef"
LOOPBACK, OTHERS = "127.0.0.1", "0.0.0.0"  # noqa: S104 - nothing listens there
HTML = {"Accept": "text/html,application/xhtml+xml"}

Connect = Callable[..., Awaitable[TestClient[Any, Any]]]


async def trace(activation: ActivationId) -> Account:
    if activation.id.startswith("f"):
        raise TraceBusyError
    document = {"_rev": "1-a", "namespace": activation.namespace, "logs": ["line"] * 1500}
    return Account(activation.id, stored=document)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    clients = []

    async def start(token: str | None = TOKEN, address: str = LOOPBACK) -> TestClient[Any, Any]:
        app: Any = faust.App("test", web_host=address, web_bind=address)
        secret = SecretStr(token) if token else None
        settings: Any = SimpleNamespace(web_host=address, web_token=secret, web_names=frozenset())
        worker: Any = SimpleNamespace(
            service=SimpleNamespace(should_stop=False),
            progress=SimpleNamespace(verdict=SimpleNamespace(not_ready="topic guest-secrets")),
            kafka=SimpleNamespace(app_id="persister"),
            history=History(),
        )
        app._new_web = lambda: Web(app, settings)
        server: Web = app.web
        Pages(worker, server.sign_in, trace).add_to(server.web_app.router)
        server.init_server()
        client = TestClient(TestServer(server.web_app))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


async def sign_in(client: TestClient[Any, Any], token: str = TOKEN, **headers: str) -> Any:
    data = {"token": token, "next": "/trace/" + ID}
    return await client.post("/sign-in", data=data, headers=headers, allow_redirects=False)


async def test_a_browser_without_the_token_is_asked_for_it(connect: Connect) -> None:
    client = await connect()
    answer = await client.get(f"/trace/{ID}?namespace=a", headers=HTML, allow_redirects=False)
    assert answer.status == 303
    assert answer.headers["Location"] == f"/sign-in?next=%2Ftrace%2F{ID}%3Fnamespace%3Da"
    form = await client.get(answer.headers["Location"], headers=HTML)
    text = await form.text()
    assert form.status == 200
    assert f'value="/trace/{ID}?namespace=a"' in text
    assert "The work of this worker does not move." in text
    assert "guest-secrets" not in text
    assert (await client.get("/history")).status == 401


async def test_the_cookie_opens_what_the_token_does_until_it_is_signed_out(
    connect: Connect,
) -> None:
    client = await connect(address=OTHERS)
    answer = await sign_in(client)
    assert (answer.status, answer.headers["Location"]) == (303, f"/trace/{ID}")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Path=/"))
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert (await client.get("/history")).status == 200
    answer = await client.post("/sign-out", allow_redirects=False)
    assert answer.headers["Location"] == "/sign-in"
    assert (await client.get("/history")).status == 401
    taken = cookie.partition(";")[0]
    assert (await client.get("/history", headers={"Cookie": taken})).status == 401


async def test_over_https_the_cookie_stays_there(connect: Connect) -> None:
    client = await connect()
    answer = await sign_in(client, **{"X-Forwarded-Proto": "https"})
    assert "Secure" in answer.headers["Set-Cookie"]


async def test_a_wrong_token_is_refused_and_locks_nobody_out(connect: Connect) -> None:
    client = await connect()
    for _ in range(ATTEMPTS):
        answer = await sign_in(client, "wrong-wrong-wrong")
        assert answer.status == 401
        assert "This is not the token." in await answer.text()
        assert "Set-Cookie" not in answer.headers
    answer = await sign_in(client, "wrong-wrong-wrong")
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0
    # Who has the right one is let in all the while, from the same address, and so is a program.
    assert (await sign_in(client)).status == 303
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert (await client.get("/history", headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
async def test_the_page_of_a_stranger_signs_nobody_in(
    connect: Connect, headers: dict[str, str]
) -> None:
    client = await connect()
    assert (await sign_in(client, **headers)).status == 403
    assert (await client.get("/history")).status == 401


async def test_a_browser_that_says_where_it_is_signs_in(connect: Connect) -> None:
    client = await connect()
    own = f"http://127.0.0.1:{client.port}"
    assert (await sign_in(client, Origin=own)).status == 303
    proxied = {"Origin": "https://status.example", "X-Forwarded-Host": "status.example"}
    assert (await sign_in(client, **proxied)).status == 303
    told = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert (await sign_in(client, **told)).status == 303


async def test_a_sign_in_is_small(connect: Connect) -> None:
    client = await connect()
    assert (await sign_in(client, "x" * LONGEST_FORM)).status == 413

    async def endless() -> AsyncIterator[bytes]:
        yield b"token="

    answer = await client.post("/sign-in", data=endless())
    assert answer.status == 413


async def test_without_a_token_there_is_no_sign_in_and_loopback_sees_all(connect: Connect) -> None:
    client = await connect(token=None)
    assert (await client.get("/history")).status == 200
    assert (await client.get("/sign-in")).status == 404
    client = await connect(token=None, address=OTHERS)
    for path in ("/", "/parts", "/history", "/trace", f"/trace/{ID}", "/sign-in"):
        answer = await client.get(path, headers=HTML)
        assert answer.status == 403
        assert "PERSISTER_WEB_TOKEN" in await answer.text()


async def test_files_are_those_of_the_package_and_no_others(connect: Connect) -> None:
    client = await connect(address=OTHERS)
    for path, file in static_files().items():
        answer = await client.get(f"{path}?{file.version}")
        assert (answer.status, await answer.read()) == (200, file.content)
        assert "immutable" in answer.headers["Cache-Control"]
        assert (await client.get(path)).headers["Cache-Control"] == "no-store"
    for path in ("missing.css", "..%2Fhandlers.py", "%2e%2e/handlers.py", ""):
        assert (await client.get(STATIC + path)).status in (401, 404)


async def test_pages_run_no_script_but_their_own(connect: Connect) -> None:
    client = await connect(token=None)
    for path in (f"/trace/{ID}", "/trace"):
        policy = (await client.get(path)).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


async def test_an_activation_is_told_as_a_page_and_as_json(connect: Connect) -> None:
    client = await connect(token=None)
    answer = await client.get("/trace", params={"activation": f" guest/{ID.upper()} "})
    assert answer.url.path == f"/trace/{ID}"
    page = await answer.text()
    assert "It is in the database, revision 1-a." in page
    assert "guest" in page
    assert page.count("line\n") == LOG_LINES
    for how in ({"headers": {"Accept": "application/json"}}, {"params": {"format": "json"}}):
        answer = await client.get(f"/trace/{ID}", **how)  # type: ignore[arg-type]
        told = json.loads(await answer.text())
        assert told == (await trace(ActivationId(None, ID))).as_json()


async def test_what_is_no_activation_is_not_looked_for(connect: Connect) -> None:
    client = await connect(token=None)
    for asked in ("", "x", "0" * 31, "<script>", "a\n/" + ID):
        answer = await client.get("/trace", params={"activation": asked})
        assert answer.status == 400
        assert "32 hex digits" in await answer.text()


async def test_who_comes_while_others_are_looked_for_is_told_to_wait(connect: Connect) -> None:
    client = await connect(token=None)
    answer = await client.get(f"/trace/{'f' * 32}")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "try again" in await answer.text()


async def test_history_takes_only_a_time(connect: Connect) -> None:
    client = await connect(token=None)
    assert (await client.get("/history?since=x")).status == 400
    answers = [client.get(f"/history?since={since}") for since in ("0", "1e300", "nan", "-inf")]
    assert {answer.status for answer in await asyncio.gather(*answers)} == {200}


FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
HOSTILE_FORMS = {
    "an unknown charset": (f"{FORM}; charset=nonsense", b"token=a"),
    "half a surrogate pair": (f"{FORM}; charset=unicode_escape", rb"token=\ud800"),
    "no UTF-8": (FORM, b"token=\xff"),
    "very many fields": (FORM, b"&a=b" * 2000),
    "very many signs": (FORM, b"&" * 8000),
    "parts without a boundary": (PARTS, b"token=a"),
    "parts that do not end": (f"{PARTS}; boundary=x", b"--x\r\n\r\ntoken"),
    "parts in parts": (
        f"{PARTS}; boundary=x",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--\r\n",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_FORMS)
async def test_a_form_that_is_none_is_no_error_of_ours(connect: Connect, name: str) -> None:
    client = await connect()
    kind, body = HOSTILE_FORMS[name]
    answer = await client.post("/sign-in", data=body, headers={"Content-Type": kind})
    assert answer.status in {400, 401, 413, 415}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/history?since=nan",
            "/history?since=-inf",
            "/history?since=1e999",
            "/history?since=%ff",
        ),
        *(f"/trace/{ID}?namespace=%ff%00%0a", f"/trace/{ID}?namespace={'a/' * 3000}", "/trace/%ff"),
        *(
            "/trace?activation=%ed%a0%80",
            "/static/..%2f..%2fweb.py",
            "/static/%00",
            "/sign-out?%ff",
        ),
        *(f"/trace/{ID}?format=json&namespace=%ed%a0%80", "/sign-in?next=%ed%a0%80%ff"),
    ],
)
async def test_no_path_is_an_error_of_ours(connect: Connect, path: str) -> None:
    client = await connect(token=None) if "sign-in" not in path else await connect()
    answer = await client.get(URL(path, encoded=True), allow_redirects=False)
    assert answer.status in {200, 303, 400, 404}
    assert "\x00" not in await answer.text()


@pytest.mark.parametrize("cookie", ["", ".", "..", "1..", "9" * 11 + ".é.é", "²..", "\x80.a.b"])
async def test_no_cookie_is_an_error_of_ours(connect: Connect, cookie: str) -> None:
    client = await connect()
    answer = await client.get("/history", headers={"Cookie": f"persister-session={cookie}"})
    assert answer.status == 401
