"""Tries a login that a broker has refused again ever more seldom, and says it once.

aiokafka 0.14 tries again after `retry_backoff_ms` (100 ms), as after any failed connection, and
each of a process's clients does: 10 to 20 logins a second, for as long as the password is wrong. It
can become wrong while a worker runs: it is changed in Kafka, and connections are made anew.

Until the pause is over an attempt fails with what the broker said, without asking it. Another
password is tried at once (`rotated_passwords`).

Not reported; Kafka's own clients have `reconnect.backoff.max.ms`, one second.

- Symptom: `SaslAuthenticationFailed`, and a line in the broker's log, ten times a second and more.
- Reproduction: start a broker again with another password for the user of a client.
- Mend: a pause that grows in `AIOKafkaClient._get_conn`, as Kafka's own clients have.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable
from functools import wraps
from time import monotonic
from typing import Any, NamedTuple

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from app.kafka.wrapping import wrap

logger = logging.getLogger(__name__)

Connect = Callable[..., Awaitable[Any]]

REFUSED = (IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)
"""A broker's answers to a login that it refuses."""

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0
"""The pause after the first refusal, and the longest one; each refusal doubles it."""

CLIENT = "aiokafka"
"""The logger for aiokafka's message about each attempt."""


class Login(NamedTuple):
    """The credentials of a connection."""

    user: str
    password: str
    mechanism: str


class Refusal(NamedTuple):
    """A broker's refusal of a login.

    Args:
        login: the refused login.
        error: the broker's answer.
        pause: seconds to pause.
        until: end of the pause, in monotonic seconds.
    """

    login: Login
    error: KafkaError
    pause: float
    until: float


class Logins:
    """Which brokers, by host and port, have refused this process's logins."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._refusals: dict[tuple[str, int], Refusal] = {}

    @property
    def refused(self) -> KafkaError | None:
        """The answer of a broker that currently refuses the login."""
        return next((one.error for one in self._refusals.values()), None)

    def pausing(self, connect: Connect) -> Connect:
        """Wrap `AIOKafkaConnection.connect` to pause after refusals."""

        @wraps(connect)
        async def connecting(connection: Any) -> Any:
            login = _login(connection)
            if login is None:
                return await connect(connection)
            broker = connection.host, connection.port
            known = self._refusals.get(broker)
            if known and known.login != login:
                known = None
            if known and self._clock() < known.until:
                raise type(known.error)(*known.error.args)
            if known:
                # Let one client try, and keep the others waiting.
                self._refusals[broker] = known._replace(until=self._clock() + known.pause)
            try:
                connected = await connect(connection)
            except REFUSED as error:
                self._on_refusal(broker, login, error, known)
                raise
            self._on_login(broker)
            return connected

        return connecting

    def _on_refusal(
        self,
        broker: tuple[str, int],
        login: Login,
        error: KafkaError,
        before: Refusal | None,
    ) -> None:
        now, noted = self._clock(), self._refusals.get(broker)
        if before is not None:
            pause = min(LONGEST_SECONDS, 2 * before.pause)
            self._refusals[broker] = Refusal(login, error, pause, now + pause)
        elif noted is None or noted.login != login:  # not refused to another client just now
            self._refusals[broker] = Refusal(login, error, FIRST_SECONDS, now + FIRST_SECONDS)
            logger.error(
                "Kafka at %s:%s lets nobody in: %s. It is asked again after a pause that grows to "
                "%g s.",
                *(*broker, refusal_text(error, login.user, login.mechanism), LONGEST_SECONDS),
            )

    def _on_login(self, broker: tuple[str, int]) -> None:
        if self._refusals.pop(broker, None):
            logger.info("Kafka at %s:%s takes the login again.", *broker)


def refuses(error: BaseException) -> bool:
    """Whether a broker refuses a connection, so that trying again cannot help."""
    return any(isinstance(one, (*REFUSED, ssl.SSLError)) for one in (error, error.__cause__))


def refusal_text(error: KafkaError, user: str | None, mechanism: str | None) -> str:
    """What a refused login means, and which settings to check."""
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"PERSISTER_KAFKA_SASL_MECHANISM ({mechanism}) is not offered"
    if isinstance(error, IllegalSaslStateError):
        return "this listener takes no login: check PERSISTER_KAFKA_SECURITY_PROTOCOL"
    return (
        f"it knows no user {user!r} with this password and mechanism ({mechanism}): check "
        "PERSISTER_KAFKA_USER, PERSISTER_KAFKA_PASSWORD[_FILE] and PERSISTER_KAFKA_SASL_MECHANISM"
    )


def _login(connection: Any) -> Login | None:
    user, password, mechanism = (
        getattr(connection, f"_sasl_{name}")
        for name in ("plain_username", "plain_password", "mechanism")
    )
    return Login(user, password, mechanism) if user and password and mechanism else None


class Told(logging.Filter):
    """Drops aiokafka's message about each refused login."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        given = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(one, REFUSED) for one in given)


logins = Logins()
"""The logins of this process."""


def pause_after_refusals() -> None:
    """Make every Kafka client of this process pause between refused logins."""
    wrap(AIOKafkaConnection, "connect", logins.pausing)
    filters = logging.getLogger(CLIENT).filters
    if not any(isinstance(known, Told) for known in filters):
        # First in the list, before filters that count suppressed messages.
        filters.insert(0, Told())
