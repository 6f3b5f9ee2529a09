"""Looks at once for what to fetch when a fetch has ended just as the fetcher looked at its clock.

aiokafka 0.14's fetcher asks each broker for one answer at a time. It notes whom it has asked in
`_in_flight`, and a callback of the task that waits for the answer removes the note. The fetcher
itself sleeps until such a task ends or some time has passed. When both come in the same turn of the
event loop, and the clock is first, it wakes up before the callback has run: it takes the task for
ended and the broker for asked, finds nothing to do, and sleeps on for 200 ms. Nothing wakes it,
since no task is left that could end.

Not reported.

- Symptom: at a steady rate of records, a consumer takes none for 200 ms, now and then: at 500 a
  second, each five seconds or so. The more often the fetcher looks at its clock, the more often.
- Reproduction: `tests/unit/kafka/patches/test_finished_fetches.py` has a fetch end in the very
  turn in which the time is over.
- Mend: where more brokers are noted than tasks are left, it looks again in the next turn, when the
  callback has run.
"""

from typing import Any


def notice_finished(fetcher: Any) -> None:
    """Make an aiokafka `Fetcher`, before its first fetch, notice every fetch that has ended."""
    actions = fetcher._get_actions_per_node  # noqa: SLF001

    def noticing(assignment: Any) -> Any:
        fetches, resets, look, *others = actions(assignment)
        if len(fetcher._in_flight) > len(fetcher._pending_tasks):  # noqa: SLF001
            look = 0.0
        return fetches, resets, look, *others

    fetcher._get_actions_per_node = noticing  # noqa: SLF001
