import logging

import pytest

from openwhisk.gateway.fallback import Fallback, Switch
from tests.fakes.time import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def switch(clock: Clock) -> Switch:
    return Switch(Fallback.COUCHDB, clock)


def test_kafka_is_tried_while_it_acknowledges(switch: Switch) -> None:
    assert all(switch.tries_kafka() for _ in range(3))
    assert not switch.open


def test_while_it_is_away_one_write_in_a_while_tries_it(switch: Switch, clock: Clock) -> None:
    switch.late("no acknowledgement")
    assert switch.open
    assert not switch.tries_kafka()
    clock.now += 1
    assert [switch.tries_kafka() for _ in range(3)] == [True, False, False]
    clock.now += 1
    assert switch.tries_kafka()


def test_an_acknowledgement_switches_back(switch: Switch) -> None:
    switch.late("no acknowledgement")
    switch.acknowledged()
    assert not switch.open
    assert switch.tries_kafka()


def test_without_a_fallback_every_write_goes_on_trying() -> None:
    spared = Switch(Fallback.NONE)
    spared.late("no acknowledgement")
    assert not spared.open
    assert spared.tries_kafka()
    assert spared.away_since is not None


def test_going_and_coming_back_are_each_told_once(
    switch: Switch, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        switch.late("no acknowledgement within 5 s")
    switch.direct += 7
    clock.now += 12
    for _ in range(3):
        switch.acknowledged()
    gone, back = caplog.records
    assert (gone.levelname, back.levelname) == ("ERROR", "WARNING")
    assert "no acknowledgement within 5 s" in gone.getMessage()
    assert "to CouchDB directly" in gone.getMessage()
    assert "after 12.0 s; 7 were written" in back.getMessage()
