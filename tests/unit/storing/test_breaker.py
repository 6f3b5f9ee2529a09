"""When storing is held, and when it goes on."""

import pytest

from app.settings import StoreBreakerSettings
from app.storing.breaker import StoreBreaker
from app.storing.sink import Refused
from models.reasons import RejectReason
from tests.fakes.time import Clock

FORBIDDEN = Refused(RejectReason.REFUSED, "forbidden: read-only")
DIVERGENT = Refused(RejectReason.DIVERGENT, "differs in: response", proven=True)


def opened() -> StoreBreaker:
    breaker = StoreBreaker(StoreBreakerSettings(cooldown=300), clock=lambda: 0.0)
    breaker.observe(600, [FORBIDDEN] * 600)
    return breaker


def test_what_the_database_refuses_is_held() -> None:
    assert opened().holds(FORBIDDEN)


def test_what_is_proven_of_documents_themselves_holds_nothing() -> None:
    breaker = StoreBreaker(StoreBreakerSettings(), clock=lambda: 0.0)
    breaker.observe(5000, [DIVERGENT] * 5000)
    assert breaker.reasons() == {}
    assert not breaker.holds(DIVERGENT)


def test_it_is_set_aside_while_others_are_held() -> None:
    assert not opened().holds(DIVERGENT)


def at_a_rate(clock: Clock, documents_per_second: float) -> StoreBreaker:
    settings = StoreBreakerSettings(window=60, minimum=200, ratio=0.5)
    return StoreBreaker(settings, documents_per_second=documents_per_second, clock=clock)


def test_at_a_low_rate_the_ratio_is_that_of_the_last_documents_however_long_they_took() -> None:
    breaker = at_a_rate(clock := Clock(), 2)
    for _ in range(300):
        breaker.observe(2, [])
        clock.now += 1
    finished = 0
    while not breaker.reasons():
        finished += 2
        breaker.observe(2, [FORBIDDEN, FORBIDDEN] if finished % 10 else [])
        clock.now += 20
    assert finished <= 200


@pytest.mark.parametrize("documents_per_second", [0.0, 1000.0])
def test_at_others_it_is_that_of_the_window(documents_per_second: float) -> None:
    breaker = at_a_rate(clock := Clock(), documents_per_second)
    for _ in range(200):
        breaker.observe(10, [FORBIDDEN] * 8)
        clock.now += 20
    assert breaker.reasons() == {}


def test_a_wall_clock_that_is_set_prolongs_and_shortens_no_pause() -> None:
    wall = Clock()
    breaker = StoreBreaker(StoreBreakerSettings(cooldown=300), wall=wall)
    breaker.observe(600, [FORBIDDEN] * 600)
    wall.now += 1_000_000
    assert breaker.holds(FORBIDDEN)
    (held,) = breaker.reasons().values()
    assert wall.now < held.until <= wall.now + 300
