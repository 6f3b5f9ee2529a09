"""What signals do that are not meant to stop a process."""

import asyncio
import logging
import signal

from app.process.verbosity import toggle_debug

logger = logging.getLogger(__name__)


def handle_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Handle SIGUSR1, SIGUSR2 and SIGHUP, in place of what Faust and the system do.

    At SIGUSR1, Faust writes a thousand lines. At SIGUSR2, it starts Python's debugger, which stops
    everything until somebody answers at the terminal. A SIGHUP ends a process at once: so it is
    sent when a terminal is closed, or by who expects that settings are read again.

    Args:
        loop: That runs.
    """
    loop.add_signal_handler(signal.SIGUSR1, toggle_debug)
    loop.add_signal_handler(signal.SIGUSR2, logger.info, "SIGUSR2 means nothing here")
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        loop.add_signal_handler(signal.SIGHUP, _stop)


def _stop() -> None:
    logger.info("Stopping at SIGHUP, as at SIGTERM; settings are read at the next start")
    signal.raise_signal(signal.SIGTERM)
