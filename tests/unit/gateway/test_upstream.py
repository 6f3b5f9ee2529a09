"""What CouchDB answers to the gateway's own requests may be anything."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from openwhisk.gateway import answers
from openwhisk.gateway.credentials import Verdict
from openwhisk.gateway.upstream import TooLongError, Upstream, UpstreamError
from tests.unit.gateway.doubles import DATABASE

DEEP = b"[" * 25_000 + b"]" * 25_000


class Answering:
    """Answers every request with the same body, but for the writes of no documents."""

    def __init__(self) -> None:
        self.body = b"[]"
        self.url = ""
        self.elsewhere = ""
        """Where everything has moved to, if it has."""
        self.asked_elsewhere: list[str] = []
        self.asked_for: set[str | None] = set()
        """Addresses on whose behalf it was asked."""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked_for.add(request.headers.get("X-Forwarded-For"))
        if request.path.startswith("/elsewhere"):
            self.asked_elsewhere.append(request.path)
        elif self.elsewhere:
            return web.Response(status=307, headers={"Location": self.elsewhere})
        if await request.read() == b'{"docs":[]}':
            return web.Response(status=201, body=b"[]")
        status = 201 if request.path.endswith("_bulk_docs") else 200
        body = b"{}" if request.path == "/_session" else self.body
        return web.Response(status=status, body=body)


@pytest.fixture
async def couchdb() -> AsyncIterator[Answering]:
    answering = Answering()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answering.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    answering.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield answering
    await runner.cleanup()


@pytest.fixture
async def upstream(couchdb: Answering) -> AsyncIterator[Upstream]:
    made = Upstream(couchdb.url, DATABASE, connect_timeout=5.0)
    yield made
    await made.close()


@pytest.mark.parametrize("body", [b"{}", b"[%b]" % DEEP, b"[", b"\xff"])
async def test_an_answer_to_a_write_that_cannot_be_read_is_none(
    upstream: Upstream, couchdb: Answering, body: bytes
) -> None:
    couchdb.body = body
    with pytest.raises(UpstreamError):
        await upstream.write([b"{}"], {})


@pytest.mark.parametrize("body", [b"[]", b'{"rows":[{"doc":{"a":%b}}]}' % DEEP])
async def test_documents_that_cannot_be_read_are_none(
    upstream: Upstream, couchdb: Answering, body: bytes
) -> None:
    couchdb.body = body
    with pytest.raises(UpstreamError):
        await upstream.documents(["a"], {})


async def test_documents_that_are_too_large_to_be_read_together(
    upstream: Upstream, couchdb: Answering
) -> None:
    doc = b'{"a":"%b"}' % (b"x" * 5_000_000)
    couchdb.body = b'{"rows":[{"doc":%b},{"error":"not_found"}]}' % doc
    with pytest.raises(TooLongError):
        await upstream.documents(["a", "b"], {})
    couchdb.body = b'{"rows":[{"doc":%b}]}' % doc
    assert [bytes(one or b"") for one in await upstream.documents(["a"], {})] == [doc]


async def test_documents_that_are_not_there(upstream: Upstream, couchdb: Answering) -> None:
    couchdb.body = b'{"rows":[{"doc": null },{"error":"not_found"}]}'
    assert await upstream.documents(["a", "b"], {}) == [None, None]


async def test_couchdb_hears_writes_where_its_design_documents_cannot_be_read(
    upstream: Upstream, couchdb: Answering
) -> None:
    couchdb.body = b'{"rows":[{"id":"_design/a","doc":{"views":%b}}]}' % DEEP
    judgement = await upstream.ask({}, "127.0.0.1")
    assert judgement.verdict is Verdict.HEARD_BY_COUCHDB


@pytest.mark.parametrize("reason", [b'{"a":1}', b"5", b"true", b"null"])
def test_a_validation_function_gives_any_reason(reason: bytes) -> None:
    entry = b'{"id":"a/1","error":"forbidden","reason":%b}' % reason
    answer = answers.document(entry, DATABASE, make_mocked_request("PUT", "/"))
    assert answer.status == 403
    assert answer.body == b'{"error":"forbidden","reason":%b}\n' % reason


@pytest.mark.parametrize("body", [b"[" + b" " * 3_000_000, b"{" * 3_000_000], ids=["[", "{"])
async def test_no_more_is_read_of_an_answer_than_an_answer_has(
    upstream: Upstream, couchdb: Answering, body: bytes
) -> None:
    couchdb.body = body
    with pytest.raises(UpstreamError, match="longer than any that is expected"):
        await upstream.write([b"{}"], {})
    assert (await upstream.missing("a", {}))[0] is False


async def test_no_question_goes_where_couchdb_redirects_to(
    upstream: Upstream, couchdb: Answering
) -> None:
    couchdb.elsewhere = f"{couchdb.url}/elsewhere"
    assert await upstream.reachable()  # it answers, whatever it says
    assert (await upstream.ask({}, "127.0.0.1")).verdict is Verdict.UNREACHABLE
    with pytest.raises(UpstreamError):
        await upstream.write([b"{}"], {})
    with pytest.raises(UpstreamError):
        await upstream.documents(["a"], {})
    with pytest.raises(UpstreamError):
        await upstream.stored(["a"], {})
    assert (await upstream.missing("a", {}))[0] is None
    assert couchdb.asked_elsewhere == []


@pytest.fixture
async def asked() -> AsyncIterator[tuple[Upstream, dict[str, web.Response]]]:
    """What each path's last part is answered, where it is not well."""
    told: dict[str, web.Response] = {}

    async def answer(request: web.Request) -> web.Response:
        well = {"_bulk_docs": (201, "[]"), "_session": (200, "{}")}
        part = request.path.rpartition("/")[2]
        status, text = well.get(part, (200, '{"rows":[]}'))
        if (given := told.get(part)) is None:
            return web.Response(status=status, text=text)
        # A response is sent once: the same one again would be waited for until the time is up.
        return web.Response(status=given.status, body=given.body, headers=given.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream = Upstream(f"http://127.0.0.1:{runner.addresses[0][1]}", DATABASE, connect_timeout=5.0)
    yield upstream, told
    await upstream.close()
    await runner.cleanup()


@pytest.mark.parametrize("status", [200, 201, 202, 302, 304, 400, 404])
async def test_only_what_couchdb_refuses_with_is_a_refusal(
    asked: tuple[Upstream, dict[str, web.Response]], status: int
) -> None:
    upstream, told = asked
    told["_bulk_docs"] = web.Response(status=status, text='{"ok":1}')
    judgement = await upstream.ask({}, "127.0.0.1")
    assert (judgement.verdict, judgement.refusal) == (Verdict.UNREACHABLE, None)


@pytest.mark.parametrize("status", [401, 403])
async def test_what_couchdb_refuses_with_is_the_clients(
    asked: tuple[Upstream, dict[str, web.Response]], status: int
) -> None:
    upstream, told = asked
    told["_bulk_docs"] = web.Response(status=status, text="{}")
    judgement = await upstream.ask({}, "127.0.0.1")
    assert judgement.refusal is not None
    assert judgement.refusal.status == status


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(
    "server, verdict",
    [("CouchDB/3.5.0 (Erlang OTP/25)", Verdict.REFUSED), ("nginx", Verdict.UNREACHABLE)],
)
async def test_what_couchdb_itself_finds_wrong_is_refused_at_once(
    asked: tuple[Upstream, dict[str, web.Response]], status: int, server: str, verdict: Verdict
) -> None:
    """A cookie that was cut, basic credentials that are not base 64; no database."""
    upstream, told = asked
    told["_bulk_docs"] = web.Response(status=status, text="{}", headers={"Server": server})
    judgement = await upstream.ask({"Cookie": "AuthSession=foo"}, "127.0.0.1")
    assert judgement.verdict is verdict


async def test_a_verdict_is_as_old_as_what_is_known_of_validation_functions(
    asked: tuple[Upstream, dict[str, web.Response]],
) -> None:
    upstream, _ = asked
    first = await upstream.ask({}, "127.0.0.1")
    await asyncio.sleep(0)
    second = await upstream.ask({}, "127.0.0.1")
    assert second.age > first.age


async def test_design_documents_too_long_to_read_may_validate(
    asked: tuple[Upstream, dict[str, web.Response]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openwhisk.gateway.questions._LONGEST_DESIGNS", 5)
    upstream, _ = asked
    assert (await upstream.ask({}, "127.0.0.1")).verdict is Verdict.HEARD_BY_COUCHDB


async def test_a_user_may_have_many_roles(
    asked: tuple[Upstream, dict[str, web.Response]],
) -> None:
    upstream, told = asked
    roles = ",".join(f'"role-{number:030}"' for number in range(5000))
    told["_session"] = web.Response(text=f'{{"userCtx":{{"name":"a","roles":[{roles}]}}}}')
    judgement = await upstream.ask({}, "127.0.0.1")
    assert (judgement.verdict, judgement.user) == (Verdict.VALID, "a")


@pytest.mark.parametrize("client, address", [("10.1.2.3", "10.1.2.3"), (None, "gateway")])
async def test_wrong_passwords_count_for_whoever_is_asked_for(
    couchdb: Answering, upstream: Upstream, client: str | None, address: str
) -> None:
    await upstream.ask({}, client)
    assert couchdb.asked_for == {address}


@pytest.mark.parametrize("status", [400, 413, 431])
async def test_credentials_that_are_too_long_for_couchdb_are_refused_at_once(
    asked: tuple[Upstream, dict[str, web.Response]], status: int
) -> None:
    """A real one answers 400 without a word to any line of more than 8 KiB."""
    upstream, told = asked
    told["_bulk_docs"] = web.Response(status=status)
    judgement = await upstream.ask({"Authorization": "Bearer " + "x" * 8000}, "127.0.0.1")
    assert judgement.refusal is not None
    assert judgement.refusal.status == status
    assert b"longer than the database takes" in judgement.refusal.body
    usual = await upstream.ask({"Authorization": "Bearer " + "x" * 1000}, "127.0.0.1")
    assert usual.verdict is Verdict.UNREACHABLE


@pytest.mark.parametrize(
    "session",
    ['{"userCtx":{"name":"%s"}}' % ("x" * 2_000_000), '{"x":' + "[" * 10_000, '{"userCtx":[]}'],
    ids=["long", "deep", "strange"],
)
async def test_who_is_somebody_strange_may_not_write(
    asked: tuple[Upstream, dict[str, web.Response]], session: str
) -> None:
    upstream, told = asked
    told["_session"] = web.Response(text=session)
    assert (await upstream.ask({}, "127.0.0.1")).verdict is Verdict.BUSY


@pytest.mark.parametrize(
    "function, verdict",
    [
        ("null", Verdict.VALID),
        ('""', Verdict.HEARD_BY_COUCHDB),
        ('"function() {}"', Verdict.HEARD_BY_COUCHDB),
        ("[" + "[]," * 1_000_000 + "[]]", Verdict.HEARD_BY_COUCHDB),
    ],
    ids=["null", "empty", "function", "a million arrays"],
)
async def test_a_validation_function_is_not_built(
    asked: tuple[Upstream, dict[str, web.Response]], function: str, verdict: Verdict
) -> None:
    upstream, told = asked
    beginning = '{"rows":[{"id":"_design/a","doc":{"validate_doc_update":'
    told["_all_docs"] = web.Response(text=f"{beginning}{function}}}}}]}}")
    tracemalloc.start()
    try:
        judgement = await upstream.ask({}, "127.0.0.1")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert judgement.verdict is verdict
    assert most < 30_000_000
