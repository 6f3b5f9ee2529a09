"""In what ways a worker can break without any part of it seeing the cause: `dev.faulty_worker`."""

import signal
from enum import IntEnum


class Breakdown(IntEnum):
    """What breaks, by the signal's number."""

    EVENT_LOOP = signal.SIGRTMIN + 1
    """The event loop hangs."""

    CONSUMER_THREAD = signal.SIGRTMIN + 2
    """The thread in which the consumer lives hangs: no fetch, no commit, no heartbeat."""

    FETCHER = signal.SIGRTMIN + 3
    """The consumer heartbeats and fetches nothing any more."""

    WRITER = signal.SIGRTMIN + 4
    """Documents are taken for writing and never written."""

    COMMIT = signal.SIGRTMIN + 5
    """Everything is stored, and nothing is committed."""
