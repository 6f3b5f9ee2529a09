"""Notes when a broker holds a client back, which aiokafka passes over in silence.

A broker with quotas answers at once, says how long the client has to wait (`throttle_time_ms`), and
reads nothing more of its connection until then (KIP-219). A fetch brings no records meanwhile.
aiokafka 0.14 decodes the number and looks no further: nothing is read or sent, and nobody says why.

Not reported.

- Symptom: nothing is fetched although there are records, and nothing is logged.
- Reproduction: `kafka-configs.sh --alter --entity-type clients --entity-default --add-config
  consumer_byte_rate=1`
- Mend: `Response.decode` notes the number.
"""

from collections.abc import Callable
from functools import wraps
from time import monotonic
from typing import Any, Final

from aiokafka.protocol.api import Response

LEAST_SECONDS: Final = 0.5
"""Shorter pauses are not worth reporting."""

LONGEST_SECONDS: Final = 3600.0
"""Longer pauses are taken for this one."""

OVER_SECONDS: Final = 10.0
"""How long after a pause throttling counts as going on: the next request may take that long."""


class Throttling:
    """The pauses that brokers have asked the clients of this process to make."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seconds = 0.0
        self._since = 0.0
        self._until = float("-inf")

    def note(self, millis: int) -> None:
        """Record that a broker has asked for a pause."""
        seconds = min(millis / 1000, LONGEST_SECONDS)
        if seconds < LEAST_SECONDS:
            return
        now = self._clock()
        if now > self._until + OVER_SECONDS:
            self._since = now
        self._seconds, self._until = seconds, max(self._until, now + seconds)

    @property
    def told(self) -> str:
        """A message if Kafka is throttling this process, with how much; empty otherwise."""
        now = self._clock()
        if now > self._until + OVER_SECONDS:
            return ""
        return (
            f"Kafka throttles this client, for {now - self._since:.0f} s now: it last asked for a "
            f"pause of {self._seconds:.1f} s (quotas of the user or the client id: see "
            "kafka-configs.sh --describe --entity-type users, or clients)"
        )


throttling = Throttling()
"""The throttling of this process."""


def note_throttling() -> None:
    """Make every Kafka client of this process record throttling."""
    decode = Response.decode.__func__
    if not hasattr(decode, "notes_throttling"):
        Response.decode = classmethod(noting(decode, throttling))


def noting(decode: Callable[..., Any], throttling: Throttling) -> Callable[..., Any]:
    """Wrap `Response.decode` to record how long the client should wait."""

    @wraps(decode)
    def decode_and_note(kind: Any, data: Any) -> Any:
        answer = decode(kind, data)
        if millis := getattr(answer, "throttle_time_ms", 0):
            throttling.note(millis)
        return answer

    decode_and_note.notes_throttling = True  # type: ignore[attr-defined]
    return decode_and_note
