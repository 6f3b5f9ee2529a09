import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from app.monitoring.web import Web, authorized, refusal
from app.settings import SettingsError, WorkerSettings, load

TOKEN = "0123456789-abcdef"
LOOPBACK, OTHERS = "127.0.0.1", "0.0.0.0"  # noqa: S104 - nothing listens there
PAGES = ("/status", "/metrics", "/")
FAUST = (
    "/",
    "/assignment/",
    "/graph/",
    "/performance/",
    "/router/",
    "/router/guard/",
    "/router/guard/key/",
    "/table/",
    "/table/guard/",
    "/table/guard/key/",
)

Connect = Callable[..., Awaitable[TestClient[Any, Any]]]


@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_shown_to_everybody(path: str, token: SecretStr | None, address: str) -> None:
    assert refusal(path, address=address, token=token) is None


@pytest.mark.parametrize("path", [*PAGES, "/health", "/health/live/x", "/health/../status"])
def test_without_a_token_everything_else_needs_loopback(path: str) -> None:
    assert refusal(path, address=LOOPBACK, token=None) is None
    assert not authorized(f"Bearer {TOKEN}", None)
    refused = refusal(path, address=OTHERS, token=None)
    assert refused is not None
    assert refused.status == 403
    assert "PERSISTER_WEB_TOKEN" in str(refused.text)


@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
def test_with_a_token_everything_else_needs_it(address: str) -> None:
    refused = refusal("/status", address=address, token=SecretStr(TOKEN))
    assert refused is not None
    assert refused.status == 401
    assert TOKEN not in str(refused.text)


@pytest.mark.parametrize(
    "authorization,right",
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN}", True),
        ("", False),
        ("Bearer", False),
        (TOKEN, False),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN[:-1]}", False),
        (f"Bearer {TOKEN}x", False),
        ("Bearer \udcff", False),
        ("Bearer é", False),
    ],
)
def test_only_the_token_itself_counts(authorization: str, *, right: bool) -> None:
    assert authorized(authorization, SecretStr(TOKEN)) is right


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Serves an app's pages with the options of `faust worker` and the settings that are given."""
    clients = []

    async def start(
        *, token: str | None = None, names: frozenset[str] = frozenset(), **options: Any
    ) -> TestClient[Any, Any]:
        app: Any = faust.App("test", web_host=LOOPBACK, web_bind=LOOPBACK)
        secret = SecretStr(token) if token else None
        settings: Any = SimpleNamespace(web_host=LOOPBACK, web_token=secret, web_names=names)
        app._new_web = lambda: Web(app, settings)

        async def status(view: Any, _request: Any) -> Any:
            return view.json({})

        async def broken(_view: Any, _request: Any) -> Any:
            raise web.HTTPConflict

        async def ready(view: Any, _request: Any) -> Any:
            return view.json({"ready": False, "reason": "topic guest-secrets"}, status=503)

        async def slow(view: Any, _request: Any) -> Any:
            time.sleep(0.005)  # noqa: ASYNC251 - as long as a page takes to be made
            return view.json({})

        app.page("/slow")(slow)
        app.page("/health/ready")(ready)
        app.page("/status")(status)
        app.page("/broken")(broken)
        for name, value in options.items():
            setattr(app.conf, name, value)
        app.web.init_server()
        client = TestClient(TestServer(app.web.web_app))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


async def statuses(client: TestClient[Any, Any], *paths: str, **headers: str) -> dict[str, int]:
    return {path: (await client.get(path, headers=headers)).status for path in paths}


@pytest.mark.parametrize("option", ["web_bind", "web_host"])
async def test_the_options_of_the_worker_command_count(connect: Connect, option: str) -> None:
    client = await connect(**{option: OTHERS})
    assert await statuses(client, "/status", "/missing") == {"/status": 403, "/missing": 403}


async def test_an_address_to_bind_to_counts_more_than_the_name_to_show(connect: Connect) -> None:
    client = await connect(web_host="localhost", web_bind=OTHERS)
    assert await statuses(client, "/status") == {"/status": 403}


async def test_the_token_opens_the_pages(connect: Connect) -> None:
    client = await connect(token=TOKEN)
    assert await statuses(client, "/status") == {"/status": 401}
    assert await statuses(client, "/status", Authorization=f"Bearer {TOKEN}") == {"/status": 200}


@pytest.mark.parametrize("path", ["/status", "/health/ready", "/missing"])
async def test_a_strangers_name_is_not_answered(connect: Connect, path: str) -> None:
    client = await connect(names=frozenset({"Persister.example"}))
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:6066"):
        answer = await client.get(path, headers={"Host": host})
        assert answer.status == 421
        assert "PERSISTER_WEB_NAMES" in await answer.text()
    for host in ("persister.example:80", "localhost", "LOCALHOST.:6066", "[::1]:6066", "10.0.0.7"):
        assert (await client.get(path, headers={"Host": host})).status != 421


async def test_who_has_the_token_may_use_any_name(connect: Connect) -> None:
    client = await connect(token=TOKEN, web_bind=OTHERS)
    headers = {"Host": "persister.svc.cluster.local"}
    assert await statuses(client, "/status", **headers) == {"/status": 421}
    headers["Authorization"] = f"Bearer {TOKEN}"
    assert await statuses(client, "/status", **headers) == {"/status": 200}


async def test_health_has_details_only_for_those_who_may_see_them(connect: Connect) -> None:
    async def told(client: TestClient[Any, Any], **headers: str) -> tuple[int, Any]:
        answer = await client.get("/health/ready", headers=headers)
        return answer.status, await answer.json()

    full = {"ready": False, "reason": "topic guest-secrets"}
    assert await told(await connect()) == (503, full)
    client = await connect(token=TOKEN, web_bind=OTHERS)
    assert await told(client) == (503, {"ready": False})
    assert await told(client, Authorization=f"Bearer {TOKEN}") == (503, full)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("enabled", ["0", "1"])
async def test_faust_has_no_pages_here(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, enabled: str, *, debug: bool
) -> None:
    for page in ("TABLES", "ROUTER", "GRAPH", "STATS", "METRICS"):
        monkeypatch.setenv(f"APP_WEB_{page}_ENABLED", enabled)
    client = await connect(debug=debug)
    assert await statuses(client, *FAUST) == dict.fromkeys(FAUST, 404)


@pytest.mark.parametrize("path", ["/status", "/broken", "/missing"])
@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
async def test_no_answer_is_cached_or_guessed_at(connect: Connect, path: str, address: str) -> None:
    client = await connect(web_bind=address)
    answer = await client.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_token_is_the_first_line_of_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("PERSISTER_WEB_TOKEN_FILE", str(file))
    token = WorkerSettings().web_token
    assert token is not None
    assert token.get_secret_value() == TOKEN


@pytest.mark.parametrize("token", ["short", "sixteen letters ", "0123456789abcdef\u00e9"])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("PERSISTER_WEB_TOKEN", token)
    with pytest.raises(SettingsError, match="PERSISTER_WEB_TOKEN") as raised:
        load()
    assert token not in str(raised.value)


async def test_many_pages_at_once_do_not_keep_health_waiting(connect: Connect) -> None:
    client = await connect()
    pages = [asyncio.create_task(client.get("/slow")) for _ in range(60)]
    await pages[0]
    assert (await client.get("/health/ready")).status == 503
    made = sum(page.done() for page in pages)
    await asyncio.gather(*pages)
    assert made < 30
