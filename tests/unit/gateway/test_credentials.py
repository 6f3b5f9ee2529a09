import asyncio
import base64
import logging
from collections.abc import Mapping

import pytest

from openwhisk.gateway.credentials import (
    Credentials,
    Judgement,
    Refusal,
    Verdict,
    credentials_of,
)

TTL = 60.0
GRACE = 3600.0
BUSY_GRACE = 300.0
CLIENT = "10.0.0.9"
WRONG = Refusal(401, b'{"error":"unauthorized","reason":"Name or password is incorrect."}')
LOCKED = Refusal(403, b'{"error":"forbidden","reason":"temporarily locked"}', locked=True)


def basic(user: str, word: str = "a") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}


def session(user: str, number: int) -> dict[str, str]:
    return {"Cookie": f"AuthSession={user}-{number}"}


ALICE, BOB = basic("alice"), basic("bob")


class CouchDB:
    """Knows Alice by her password, and by whatever sessions are given."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, str]] = []
        self.clients: set[str | None] = {CLIENT, None}
        self.asked_for: list[str | None] = []
        self.locked: set[str | None] = set()
        """Addresses from which there were too many wrong attempts."""
        self.silence: Verdict | None = None
        self.refusal = WRONG
        self.age = 0.0
        self.renewed: str | None = None
        self.hanging: asyncio.Event | None = None
        self.now = 1000.0
        self.knows: dict[str, str] = {str(ALICE): "alice"}
        self.begin()

    def begin(self, *, patience: float = 0.01, busy_grace: float = BUSY_GRACE) -> None:
        self.credentials = Credentials(
            self.ask,
            ttl=TTL,
            grace=max(GRACE, busy_grace),
            busy_grace=busy_grace,
            patience=patience,
            clock=lambda: self.now,
        )

    async def ask(self, headers: Mapping[str, str], client: str | None) -> Judgement:
        assert client in self.clients
        self.asked.append(headers)
        self.asked_for.append(client)
        await asyncio.sleep(0)
        if self.hanging is not None:
            await self.hanging.wait()
        if self.silence is not None:
            return Judgement(self.silence)
        if client in self.locked:
            return Judgement(Verdict.REFUSED, refusal=LOCKED)
        if str(headers) in self.knows:
            user = self.knows[str(headers)]
            return Judgement(Verdict.VALID, user, age=self.age, session=self.renewed)
        return Judgement(Verdict.REFUSED, refusal=self.refusal)

    async def verdict(self, headers: Mapping[str, str] = ALICE) -> Verdict:
        return (await self.credentials.judge(headers, CLIENT)).verdict


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


async def test_a_session_is_asked_about_often_enough_to_last(couchdb: CouchDB) -> None:
    mine = session("alice", 1)
    couchdb.knows[str(mine)] = "alice"
    couchdb.renewed = "AuthSession=alice-2"
    for asked in (1, 2, 3):
        waiting = [couchdb.credentials.judge(mine, CLIENT) for _ in range(3)]
        found = await asyncio.gather(*waiting)
        assert [one.session for one in found] == ["AuthSession=alice-2"] * 3
        again = await couchdb.credentials.judge(mine, CLIENT)
        assert (again.verdict, again.session) == (Verdict.VALID, None)
        assert len(couchdb.asked) == asked
        couchdb.now += 10


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
    couchdb.silence = Verdict.UNREACHABLE
    couchdb.now += GRACE - 1
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += 10
    assert await couchdb.verdict() is Verdict.UNREACHABLE


async def test_while_couchdb_is_busy_they_count_for_minutes_only(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.silence = Verdict.BUSY
    couchdb.now += TTL + BUSY_GRACE - 1
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += 10
    assert await couchdb.verdict() is Verdict.BUSY


async def test_an_answer_that_comes_late_ends_the_time_of_who_was_deleted(
    couchdb: CouchDB,
) -> None:
    await couchdb.verdict()
    couchdb.knows.clear()
    couchdb.now += TTL
    couchdb.hanging = asyncio.Event()
    assert await couchdb.verdict() is Verdict.VALID  # nobody has said otherwise yet
    couchdb.hanging.set()
    await asyncio.wait(couchdb.credentials._asking.values())
    couchdb.now += 2  # known ones are asked about again after a pause only
    assert await couchdb.verdict() is Verdict.REFUSED
    assert len(couchdb.asked) == 2


async def test_only_the_first_requests_wait_for_a_couchdb_that_is_frozen(
    couchdb: CouchDB,
) -> None:
    couchdb.begin(patience=3600.0, busy_grace=7200.0)
    await couchdb.verdict()
    couchdb.now += TTL
    couchdb.hanging = asyncio.Event()
    first = asyncio.ensure_future(couchdb.verdict())
    await asyncio.sleep(0)
    couchdb.now += 3600.0
    assert await couchdb.verdict() is Verdict.VALID
    assert not first.done()
    couchdb.hanging.set()
    assert await first is Verdict.VALID


async def test_guesses_of_one_address_are_not_all_asked_at_once(couchdb: CouchDB) -> None:
    couchdb.hanging = asyncio.Event()
    guesses = [couchdb.verdict(basic("alice", str(number))) for number in range(100)]
    assert set(await asyncio.gather(*guesses)) == {Verdict.BUSY}
    assert len(couchdb.asked) == 8
    couchdb.hanging.set()
    await asyncio.wait(couchdb.credentials._asking.values())
    assert await couchdb.verdict(ALICE) is Verdict.VALID


async def test_addresses_of_one_ipv6_network_guess_together(couchdb: CouchDB) -> None:
    clients = [f"2001:db8::{number:x}" for number in range(100)]
    couchdb.clients.update(clients)
    couchdb.hanging = asyncio.Event()
    guesses = [couchdb.credentials.judge(basic("alice", client), client) for client in clients]
    judgements = await asyncio.gather(*guesses)
    assert {judgement.verdict for judgement in judgements} == {Verdict.BUSY}
    assert len(couchdb.asked) == 8
    other = couchdb.credentials.judge(ALICE, "2001:db8:1::1")
    couchdb.clients.add("2001:db8:1::1")
    couchdb.hanging.set()
    assert (await other).verdict is Verdict.VALID


async def test_unknown_ones_never_count_while_couchdb_is_away(couchdb: CouchDB) -> None:
    await couchdb.verdict(ALICE)
    couchdb.silence = Verdict.UNREACHABLE
    assert await couchdb.verdict(BOB) is Verdict.UNREACHABLE
    couchdb.silence = Verdict.BUSY
    assert await couchdb.verdict(BOB) is Verdict.BUSY


async def test_grace_is_not_extended_by_itself(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.silence = Verdict.UNREACHABLE
    for _ in range(4):
        couchdb.now += GRACE / 4
        last = await couchdb.verdict()
    assert last is Verdict.UNREACHABLE


async def test_a_refusal_after_the_outage_ends_the_grace(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.silence = Verdict.UNREACHABLE
    couchdb.now += TTL
    await couchdb.verdict()
    couchdb.silence = None
    couchdb.knows.clear()
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.REFUSED
    couchdb.silence = Verdict.UNREACHABLE
    couchdb.now += GRACE
    assert await couchdb.verdict() is Verdict.UNREACHABLE


async def test_many_requests_of_one_user_ask_once(couchdb: CouchDB) -> None:
    verdicts = await asyncio.gather(*(couchdb.verdict() for _ in range(50)))
    assert set(verdicts) == {Verdict.VALID}
    assert len(couchdb.asked) == 1


async def test_a_thousand_sessions_of_one_user_push_out_nobody_else(couchdb: CouchDB) -> None:
    await couchdb.verdict(ALICE)
    for number in range(2000):
        cookie = session("mallory", number)
        couchdb.knows[str(cookie)] = "mallory"
        assert await couchdb.verdict(cookie) is Verdict.VALID
    couchdb.silence = Verdict.UNREACHABLE
    couchdb.now += TTL
    assert await couchdb.verdict(ALICE) is Verdict.VALID
    assert await couchdb.verdict(session("mallory", 1999)) is Verdict.VALID
    assert await couchdb.verdict(session("mallory", 0)) is Verdict.UNREACHABLE


async def test_what_is_remembered_is_bounded_in_all(couchdb: CouchDB) -> None:
    for number in range(1001):
        cookie = session("user", number)
        couchdb.knows[str(cookie)] = f"user-{number}"
        await couchdb.verdict(cookie)
    couchdb.silence = Verdict.UNREACHABLE
    assert await couchdb.verdict(session("user", 0)) is Verdict.UNREACHABLE
    assert await couchdb.verdict(session("user", 1)) is Verdict.VALID


async def test_a_wrong_password_is_not_tried_often_enough_to_be_locked_out(
    couchdb: CouchDB, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(300):
            assert await couchdb.verdict(BOB) is Verdict.REFUSED
            couchdb.now += 1
    assert len(couchdb.asked) < 5
    assert "Name or password is incorrect." in caplog.text
    assert CLIENT in caplog.text
    assert BOB["Authorization"] not in caplog.text


async def test_a_corrected_password_counts_at_once(couchdb: CouchDB) -> None:
    assert await couchdb.verdict(basic("alice", "old")) is Verdict.REFUSED
    assert await couchdb.verdict(ALICE) is Verdict.VALID


async def test_who_is_no_member_is_asked_about_again(couchdb: CouchDB) -> None:
    couchdb.refusal = Refusal(403, b"{}")
    assert await couchdb.verdict(BOB) is Verdict.REFUSED
    couchdb.knows[str(BOB)] = "bob"
    assert await couchdb.verdict(BOB) is Verdict.VALID


async def test_being_locked_out_by_another_does_not_end_what_is_known(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.locked = {CLIENT}
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += TTL + BUSY_GRACE
    assert await couchdb.verdict() is Verdict.VALID


async def test_who_locks_himself_out_does_not_hide_that_he_is_refused(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.knows.clear()
    couchdb.locked = {CLIENT}
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.REFUSED


async def test_being_locked_out_everywhere_counts_like_being_busy(couchdb: CouchDB) -> None:
    await couchdb.verdict()
    couchdb.locked = {CLIENT, None}
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.VALID
    couchdb.now += BUSY_GRACE
    assert await couchdb.verdict() is Verdict.BUSY


async def test_without_the_database_what_is_known_goes_on_and_others_are_told(
    couchdb: CouchDB,
) -> None:
    await couchdb.verdict()
    couchdb.knows.clear()
    couchdb.refusal = Refusal(404, b'{"error":"not_found"}')
    couchdb.now += TTL
    assert await couchdb.verdict() is Verdict.VALID
    assert await couchdb.verdict(BOB) is Verdict.REFUSED
    couchdb.now += BUSY_GRACE
    assert await couchdb.verdict() is Verdict.BUSY


async def test_a_verdict_is_as_old_as_what_it_relies_on(couchdb: CouchDB) -> None:
    couchdb.age = TTL - 1
    await couchdb.verdict()
    couchdb.now += 1
    await couchdb.verdict()
    assert len(couchdb.asked) == 2


async def test_guesses_are_never_asked_for_the_gateway_itself(couchdb: CouchDB) -> None:
    couchdb.locked = {CLIENT}
    assert await couchdb.verdict(BOB) is Verdict.REFUSED
    assert couchdb.asked_for == [CLIENT]


@pytest.mark.parametrize("name", ["authorization", "Cookie", "X-Auth-CouchDB-UserName"])
def test_every_way_of_couchdb_to_know_a_user_counts(name: str) -> None:
    assert credentials_of({name: "a", "Accept": "b"}) == {name: "a"}
