"""Reads the file of a password again for each connection to a broker.

aiokafka 0.14 takes a password when a client is made, and logs in with it for as long as the client
lives. Where passwords are rotated (Amazon MSK, Strimzi), connections last until a broker restarts
or closes them, and from then on each new one is refused, dozens of times a second, until somebody
restarts the process. So it is with other clients (confluentinc/confluent-kafka-dotnet#2102).

Not reported.

- Symptom: `SaslAuthenticationFailed` for ever, although the file of the password holds the new one.
- Reproduction: start a broker again with another password for the user of a client.
- Mend: aiokafka could take a function in place of the password, as it does for OAuth's tokens.
"""

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from aiokafka.conn import AIOKafkaConnection

from app.kafka.wrapping import wrap
from app.settings.base import secret_from

logger = logging.getLogger(__name__)

Init = Callable[..., None]

_files: dict[str, Path] = {}
"""The file that a password was read from, by the password that clients were made with."""

_latest: dict[str, str] = {}
"""The password that was last read from the file, by the password that clients were made with."""


def read_again(password: str, file: Path) -> None:
    """Make connections with this password read it from the file again when they log in."""
    _files[password] = file
    wrap(AIOKafkaConnection, "__init__", reading)


def reading(init: Init) -> Init:
    """Wrap `AIOKafkaConnection.__init__` to use the current password."""

    @wraps(init)
    def with_password(self: Any, *args: Any, **options: Any) -> None:
        given = options.get("sasl_plain_password")
        if given in _files:
            options["sasl_plain_password"] = _current(given)
        init(self, *args, **options)

    return with_password


def _current(given: str) -> str:
    """The password that is in the file now, or the previous one if the file cannot be read."""
    before = _latest.get(given, given)
    try:
        secret = secret_from(_files[given], None, "PERSISTER_KAFKA_PASSWORD")
    except ValueError as error:
        logger.warning("%s; the password read before is used on", error)
        return before
    now = secret.get_secret_value() if secret else before
    if now != before:
        logger.info("Another password for Kafka was read from %s", _files[given])
    _latest[given] = now
    return now
