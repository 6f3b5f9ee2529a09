"""Cookies: one for all requests, and another one before the last one ends."""

import asyncio

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from app.couchdb.errors import DatabaseError, Misconfigured, Unavailable
from app.couchdb.session import LONGEST_USE, Session


class CouchDB:
    """Gives cookies that are numbered."""

    def __init__(self, rules: str = "; Version=1; Max-Age=600; Path=/; HttpOnly") -> None:
        self.now = 1000.0
        self.asked = 0
        self.rules = rules
        self.fails: DatabaseError | None = None
        self.session = Session("writer", lambda: "secret", self.post, lambda: self.now)

    async def post(self, _body: bytes, _headers: dict[str, str]) -> CIMultiDictProxy[str]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        cookie = f"AuthSession=c{self.asked}{self.rules}"
        return CIMultiDictProxy(CIMultiDict([("Set-Cookie", "x=y"), ("Set-Cookie", cookie)]))

    async def sent(self) -> str:
        """What a request carries now."""
        headers = await self.session.headers(self.session.asked)
        return headers["Cookie"].partition("=")[2] if "Cookie" in headers else "with Basic"


async def test_all_requests_share_a_cookie() -> None:
    couchdb = CouchDB()
    assert await asyncio.gather(*[couchdb.sent() for _ in range(5)]) == ["c1"] * 5
    assert couchdb.asked == 1


@pytest.mark.parametrize(
    "rules,seconds",
    [
        ("; Max-Age=600; Path=/", LONGEST_USE),
        ("; Path=/", LONGEST_USE),
        ("; max-age=60", 30.0),
        ("; Max-Age=99999999999999999999", LONGEST_USE),
        ("; Max-Age=never", LONGEST_USE),
    ],
)
async def test_another_cookie_is_asked_for_before_one_expires(rules: str, seconds: float) -> None:
    """To CouchDB, a request with an expired one is nobody's, and not always refused as such."""
    couchdb = CouchDB(rules)
    assert await couchdb.sent() == "c1"
    couchdb.now += seconds - 1
    assert await couchdb.sent() == "c1"
    couchdb.now += 1
    assert await asyncio.gather(*[couchdb.sent() for _ in range(5)]) == ["c2"] * 5
    assert couchdb.asked == 2


async def test_a_session_that_fails_in_passing_is_asked_for_again() -> None:
    couchdb = CouchDB()
    couchdb.fails = Unavailable("busy", cause="503")
    assert await couchdb.sent() == "with Basic"
    couchdb.fails = None
    assert await couchdb.sent() == "c2"


async def test_no_request_is_sent_that_would_not_be_answered_either() -> None:
    couchdb = CouchDB()
    couchdb.fails = Unavailable("refused", cause="connection")
    with pytest.raises(Unavailable):
        await couchdb.sent()


async def test_one_wrong_password_is_the_answer_to_all_that_were_under_way() -> None:
    couchdb = CouchDB()
    couchdb.fails = Misconfigured("wrong", cause="401")
    answers = await asyncio.gather(*[couchdb.sent() for _ in range(5)], return_exceptions=True)
    assert answers == [couchdb.fails] * 5
    assert couchdb.asked == 1


async def test_who_comes_while_a_cookie_is_asked_for_takes_the_same_answer() -> None:
    couchdb = CouchDB()
    first = asyncio.create_task(couchdb.sent())
    await asyncio.sleep(0)
    assert couchdb.asked == 1
    assert [await couchdb.sent(), await first] == ["c1", "c1"]


async def test_a_cookie_that_is_refused_is_left_for_good_only_if_none_ever_worked() -> None:
    couchdb = CouchDB()
    couchdb.fails = Unavailable("busy", cause="503")
    couchdb.session.worked(await couchdb.session.headers(0))  # with Basic, which says nothing
    couchdb.fails = None
    cookie = await couchdb.session.headers(couchdb.session.asked)
    assert couchdb.session.rejected(cookie)
    assert await couchdb.sent() == "with Basic"

    couchdb = CouchDB()
    couchdb.session.worked(await couchdb.session.headers(0))
    couchdb.now += LONGEST_USE
    assert couchdb.session.rejected(await couchdb.session.headers(1))
    assert await couchdb.sent() == "c3"


async def refused(couchdb: CouchDB) -> None:
    """A request is sent, and its cookie is not taken."""
    headers = await couchdb.session.headers(couchdb.session.asked)
    couchdb.session.rejected(headers)


async def test_cookies_that_only_some_nodes_take_are_given_up_for_an_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else each request is sent twice, and each needs a cookie of its own."""
    couchdb = CouchDB()
    couchdb.session.worked({"Cookie": "AuthSession=c0"})
    for _ in range(3):
        assert await couchdb.sent() != "with Basic"
        await refused(couchdb)
    assert [await couchdb.sent() for _ in range(5)] == ["with Basic"] * 5
    assert couchdb.asked == 3
    assert len(caplog.records) == 1
    couchdb.now += 3601
    assert await couchdb.sent() == "c4"


async def test_a_cookie_that_is_refused_now_and_then_is_followed_by_another() -> None:
    """As when a password is rotated, or a server starts again."""
    couchdb = CouchDB()
    couchdb.session.worked({"Cookie": "AuthSession=c0"})
    for number in range(1, 6):
        assert await couchdb.sent() == f"c{number}"
        await refused(couchdb)
        couchdb.now += 40
