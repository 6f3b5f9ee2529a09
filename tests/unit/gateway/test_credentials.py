import asyncio
from collections.abc import Mapping

import pytest

from openwhisk.gateway.credentials import Credentials, Verdict, credentials_of

ALICE = {"Authorization": "Basic YWxpY2U6YQ=="}
BOB = {"Authorization": "Basic Ym9iOmI="}
TTL = 60.0
GRACE = 3600.0


class CouchDB:
    """Knows Alice."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.up = True
        self.now = 1000.0
        self.knows = [ALICE]
        self.credentials = Credentials(self.ask, ttl=TTL, grace=GRACE, clock=lambda: self.now)

    async def ask(self, headers: Mapping[str, str]) -> Verdict:
        self.asked.append(headers)
        await asyncio.sleep(0)
        if not self.up:
            return Verdict.UNREACHABLE
        return Verdict.VALID if headers in self.knows else Verdict.REFUSED

    async def verdict(self, headers: Mapping[str, str] = ALICE) -> Verdict:
        return await self.credentials.verdict(headers)


@pytest.fixture
def couchdb() -> CouchDB:
    return CouchDB()


async def test_a_positive_verdict_is_remembered_for_a_short_time(couchdb: CouchDB) -> None:
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += TTL - 1
    assert await couchdb.verdict() is Verdict.VALID
    assert len(couchdb.asked) == 1
    couchdb.now += 1
    couchdb.knows.clear()
    assert await couchdb.verdict() is Verdict.REFUSED
    assert len(couchdb.asked) == 2


async def test_a_refusal_is_not_remembered(couchdb: CouchDB) -> None:
    assert await couchdb.verdict(BOB) is Verdict.REFUSED
    couchdb.knows.append(BOB)
    assert await couchdb.verdict(BOB) is Verdict.VALID


async def test_one_user_is_not_another(couchdb: CouchDB) -> None:
    assert await couchdb.verdict(ALICE) is Verdict.VALID
    assert await couchdb.verdict(BOB) is Verdict.REFUSED
    assert await couchdb.verdict({}) is Verdict.REFUSED
    assert await couchdb.verdict({**ALICE, "Cookie": "AuthSession=bob"}) is Verdict.REFUSED


async def test_only_what_was_hashed_is_asked_about(couchdb: CouchDB) -> None:
    await couchdb.verdict({**ALICE, "X-Own-Authentication": "root", "Host": "a"})
    assert couchdb.asked == [ALICE]


async def test_known_ones_count_longer_while_couchdb_is_away(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.up = False
    couchdb.now += GRACE - 1
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += 10
    assert await couchdb.verdict() is Verdict.UNREACHABLE


async def test_unknown_ones_never_count_while_couchdb_is_away(couchdb: CouchDB) -> None:
    await couchdb.verdict(ALICE)
    couchdb.up = False
    assert await couchdb.verdict(BOB) is Verdict.UNREACHABLE


async def test_grace_is_not_extended_by_itself(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.up = False
    for _ in range(4):
        couchdb.now += GRACE / 4
        last = await couchdb.verdict()
    assert last is Verdict.UNREACHABLE


async def test_a_refusal_after_the_outage_ends_the_grace(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.up = False
    couchdb.now += TTL
    await couchdb.verdict()
    couchdb.up = True
    couchdb.knows.clear()
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.REFUSED
    couchdb.up = False
    assert await couchdb.verdict() is Verdict.UNREACHABLE


async def test_many_requests_of_one_user_ask_once(couchdb: CouchDB) -> None:
    verdicts = await asyncio.gather(*(couchdb.verdict() for _ in range(50)))
    assert set(verdicts) == {Verdict.VALID}
    assert len(couchdb.asked) == 1


async def test_what_is_remembered_is_bounded(couchdb: CouchDB) -> None:
    couchdb.knows += [{"Cookie": f"AuthSession={number}"} for number in range(1001)]
    for headers in couchdb.knows:
        await couchdb.verdict(headers)
    assert await couchdb.verdict(ALICE) is Verdict.VALID
    assert couchdb.asked.count(ALICE) == 2


@pytest.mark.parametrize("name", ["authorization", "Cookie", "X-Auth-CouchDB-UserName"])
def test_every_way_of_couchdb_to_know_a_user_counts(name: str) -> None:
    assert credentials_of({name: "a", "Accept": "b"}) == {name: "a"}
