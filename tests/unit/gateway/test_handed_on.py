"""What CouchDB says to the client in headers is in the gateway's own answers, too."""

from base64 import b64encode

import aiohttp
import pytest
from aiohttp import web

from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import BASIC, DATABASE, FakeDatabase, Running, document

PAGE, OTHER_PAGE = "http://a.b", "http://c.d"
ALLOWED = {
    "Access-Control-Allow-Origin": PAGE,
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "content-type, etag",
}


def allow(database: FakeDatabase) -> None:
    """As CouchDB does it for one page."""
    database.headers = lambda request: ALLOWED if request.headers.get("Origin") == PAGE else {}


def said(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("Access-Control")}


async def test_pages_may_read_the_answers_that_couchdb_lets_them_read(
    gateway: Running, database: FakeDatabase
) -> None:
    allow(database)
    for page, expected in ((PAGE, ALLOWED), (OTHER_PAGE, {}), (PAGE, ALLOWED), (None, {})):
        origin = {"Origin": page} if page else {}
        fields = document()
        async with gateway.put_document(fields, **origin) as answer:
            assert (answer.status, said(answer)) == (201, expected)
        async with gateway.bulk_documents([document()], **origin) as answer:
            assert (answer.status, said(answer)) == (201, expected)
        async with gateway.bulk_documents([document(), {"_id": "a"}], **origin) as answer:
            assert (answer.status, said(answer)) == (201, expected)
        async with gateway.put_document({"_id": "x/y"}, **origin) as answer:
            assert (answer.status, said(answer)) in ((201, expected), (409, expected))
        path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
        async with gateway.client.get(gateway.url + path, headers={**BASIC, **origin}) as answer:
            assert (answer.status, said(answer)) == (200, expected)
        async with gateway.put_document(fields, Authorization="Basic eA==", **origin) as answer:
            assert (answer.status, said(answer)) == (401, expected)
        database.couchdb.databases[DATABASE].clear()


async def test_who_may_only_read_may_read_what_is_not_stored_yet_from_a_page(
    gateway: Running, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    fields = document()
    async with gateway.put_document(fields) as answer:
        assert answer.status == 201
    asked = len(database.questions)
    allow(database)
    database.couchdb.others["reader"] = "secret"
    reader = {"Authorization": f"Basic {b64encode(b'reader:secret').decode()}", "Origin": PAGE}
    path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
    for _ in range(2):
        async with gateway.client.get(gateway.url + path, headers=reader) as answer:
            assert (answer.status, said(answer)) == (200, ALLOWED)
    assert len(database.questions) == asked
    assert not caplog.records


async def test_a_renewed_session_reaches_its_client_and_nobody_else(
    start: StartGateway, database: FakeDatabase
) -> None:
    database.couchdb.user = None
    gateway = await start(credentials_ttl=0)

    def renew(request: web.Request) -> dict[str, str]:
        cookie = request.cookies.get("AuthSession")
        return {"Set-Cookie": renewed(cookie)} if cookie else {}

    def renewed(cookie: str) -> str:
        """Another one for each request, of which the last is the write itself, if there is one."""
        return f"AuthSession={cookie}-{len(database.seen)}; HttpOnly"

    database.headers = renew
    for cookie in ("alice", "bob", "alice"):
        sent = {"Cookie": f"AuthSession={cookie}", "Authorization": ""}
        async with gateway.put_document(document(), **sent) as answer:
            assert answer.status == 201
            (given,) = answer.headers.getall("Set-Cookie")
            assert given.startswith(f"AuthSession={cookie}-")
        async with gateway.put_document({"_id": "x/y"}, **sent) as answer:
            assert answer.headers.getall("Set-Cookie") == [renewed(cookie)]
        async with gateway.put_document(document()) as answer:
            assert answer.status == 201
            assert "Set-Cookie" not in answer.headers


async def test_other_cookies_of_the_verdict_are_not_the_clients(
    gateway: Running, database: FakeDatabase
) -> None:
    database.headers = lambda _: {"Set-Cookie": "balancer=1"}
    async with gateway.put_document(document()) as answer:
        assert answer.status == 201
        assert "Set-Cookie" not in answer.headers
