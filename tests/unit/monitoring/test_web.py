from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from app.monitoring.web import Web, is_loopback, refusal
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


@pytest.mark.parametrize(
    "address,expected",
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing listens there
        ("::", False),
        ("", False),
        ("10.0.0.7", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(address: str, *, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_shown_to_everybody(path: str, token: SecretStr | None, address: str) -> None:
    assert refusal(path, "", address=address, token=token) is None


@pytest.mark.parametrize("path", [*PAGES, "/health", "/health/live/x", "/health/../status"])
def test_without_a_token_everything_else_needs_loopback(path: str) -> None:
    assert refusal(path, "", address=LOOPBACK, token=None) is None
    refused = refusal(path, f"Bearer {TOKEN}", address=OTHERS, token=None)
    assert refused is not None
    assert refused.status == 403
    assert "PERSISTER_WEB_TOKEN" in str(refused.text)


@pytest.mark.parametrize("address", [LOOPBACK, OTHERS])
@pytest.mark.parametrize(
    "authorization,status",
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN}", None),
        ("", 401),
        ("Bearer", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401),
        ("Bearer \udcff", 401),
        ("Bearer é", 401),
    ],
)
def test_with_a_token_everything_else_needs_it(
    authorization: str, status: int | None, address: str
) -> None:
    refused = refusal("/status", authorization, address=address, token=SecretStr(TOKEN))
    assert (refused and refused.status) == status
    assert refused is None or TOKEN not in str(refused.text)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Serves an app's pages with the options of `faust worker` and the settings that are given."""
    clients = []

    async def start(*, token: str | None = None, **options: Any) -> TestClient[Any, Any]:
        app: Any = faust.App("test", web_host=LOOPBACK, web_bind=LOOPBACK)
        secret = SecretStr(token) if token else None
        worker = SimpleNamespace(web_host=LOOPBACK, web_token=secret)
        app.settings = SimpleNamespace(worker=worker)
        app._new_web = lambda: Web(app)

        async def status(view: Any, _request: Any) -> Any:
            return view.json({})

        async def broken(_view: Any, _request: Any) -> Any:
            raise web.HTTPConflict

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
