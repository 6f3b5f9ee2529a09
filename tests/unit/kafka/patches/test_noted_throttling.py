"""How long a broker holds a client back."""

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.api import Response
from aiokafka.protocol.fetch import FetchResponse_v4

from app.kafka.patches.noted_throttling import OVER_SECONDS, Throttling, note_throttling, noting
from tests.fakes.time import Time


@pytest.fixture
def throttling(time: Time) -> Throttling:
    return Throttling(time.clock)


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_client_that_is_not_held_back_says_nothing(throttling: Throttling) -> None:
    assert throttling.told == ""
    throttling.note(0)
    throttling.note(100)  # so little keeps nothing from moving
    assert throttling.told == ""


def test_it_says_since_when_and_how_long(throttling: Throttling, time: Time) -> None:
    for _ in range(4):
        throttling.note(10_000)
        time.now += 10.5
    assert "for 42 s now" in throttling.told
    assert "a pause of 10.0 s" in throttling.told


def test_it_is_over_some_time_after_the_last_pause(throttling: Throttling, time: Time) -> None:
    throttling.note(30_000)
    time.now += 30.0 + OVER_SECONDS - 0.1
    assert throttling.told
    time.now += 0.2
    assert throttling.told == ""
    throttling.note(1_000)
    assert "for 0 s now" in throttling.told


def test_a_broker_is_not_believed_without_bound(throttling: Throttling, time: Time) -> None:
    throttling.note(2**31 - 1)
    time.now += 3600 + OVER_SECONDS + 1
    assert throttling.told == ""


def test_every_answer_is_looked_at(throttling: Throttling, monkeypatch: pytest.MonkeyPatch) -> None:
    decode: Any = Response.decode
    monkeypatch.setattr(Response, "decode", classmethod(noting(decode.__func__, throttling)))
    FetchResponse_v4.decode(BytesIO(FetchResponse_v4(12_000, []).encode()))
    assert "a pause of 12.0 s" in throttling.told


def test_it_is_applied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Response, "decode", Response.decode)
    note_throttling()
    once: Any = Response.decode
    note_throttling()
    assert Response.decode.__func__ is once.__func__
