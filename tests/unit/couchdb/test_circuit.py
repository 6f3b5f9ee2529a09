"""How long the next attempt waits."""

from app.couchdb.circuit import CREDENTIAL_ATTEMPTS, LOCKED, Circuit
from app.couchdb.errors import Misconfigured
from tests.fakes.time import Time


def circuit(time: Time) -> Circuit:
    return Circuit(
        clock=time.clock, sleep=time.sleep, random=lambda: 1.0, new_credentials=lambda: False
    )


async def waits(made: Circuit, time: Time) -> float:
    began = time.clock()
    async with made.turn():
        return time.clock() - began


async def test_wrong_credentials_of_several_attempts_wait_for_minutes(time: Time) -> None:
    made = circuit(time)
    for _ in range(CREDENTIAL_ATTEMPTS):
        made.failed(Misconfigured("wrong", cause="401"), time.clock())
    assert await waits(made, time) >= LOCKED.first


async def test_one_wrong_attempt_that_answers_many_requests_is_one(time: Time) -> None:
    made = circuit(time)
    wrong = Misconfigured("wrong", cause="401")
    for _ in range(8):
        made.failed(wrong, time.clock())
    assert await waits(made, time) < 10


async def test_two_workers_behind_one_address_do_not_lock_their_user_out(time: Time) -> None:
    """CouchDB 3.4 and later does that at the fifth wrong password within five minutes."""
    made, attempts = circuit(time), 1
    made.failed(Misconfigured("wrong", cause="401"), time.clock())
    while await waits(made, time) < LOCKED.first:
        attempts += 1
        made.failed(Misconfigured("wrong", cause="401"), time.clock())
    assert 2 * attempts < 5
