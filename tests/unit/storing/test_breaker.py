"""When storing is held, and when it goes on."""

from app.settings import StoreBreakerSettings
from app.storing.breaker import StoreBreaker
from app.storing.sink import Refused
from models.reasons import RejectReason

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
