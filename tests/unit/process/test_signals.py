"""Signals that are not meant to stop a process."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator

import pytest
import uvloop

from app.process.signals import handle_signals
from app.process.verbosity import Level, set_level
from tests.fakes.time import until

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    set_level(Level.INFO)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_nothing_stops_at(
    number: signal.Signals,
    loop: Callable[[], asyncio.AbstractEventLoop],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def go_on() -> None:
        handle_signals(asyncio.get_running_loop())
        with caplog.at_level(logging.INFO):
            os.kill(os.getpid(), number)
            await until(lambda: caplog.records)
        assert len(caplog.records) == 1

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go_on())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_closed_terminal_stops_as_a_termination_does(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def stopped() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        handle_signals(asyncio.get_running_loop())
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(stop.wait(), 10)

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may have started by nohup
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(stopped())


def test_who_was_started_by_nohup_goes_on() -> None:
    async def go_on() -> None:
        handle_signals(asyncio.get_running_loop())
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.run(go_on())
