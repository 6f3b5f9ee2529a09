"""A real Kafka on this machine, without Docker and without a system Java."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dev.folders import folder_or_temporary
from dev.kafka.broker import Kafka
from dev.kafka.configuration import Tls
from dev.kafka.install import install_kafka

__all__ = ["Kafka", "Tls", "install_kafka", "kafka"]


@contextlib.contextmanager
def kafka(
    folder: Path | None = None,
    *,
    users: Mapping[str, str] | None = None,
    strangers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Kafka]:
    """Install Kafka if needed, start a broker, and stop it at the end.

    Args:
        folder: Where its data stay afterwards; a temporary one without it.
        users: Passwords by user name; opens a second listener with SASL, at `sasl_url`.
        strangers: The same of users who may log in and nothing else; needs `users`.
        tls: Opens listeners with TLS, at `ssl_url` and, with users, at `sasl_ssl_url`.
        settings: Of the broker, in place of those that tests usually have.

    Raises:
        SetupError: It cannot be installed or does not start.
    """
    install_kafka()
    with folder_or_temporary(folder, prefix="kafka-") as home:
        broker = Kafka(home, users=users, strangers=strangers, tls=tls, settings=settings)
        try:
            broker.start()
            yield broker
        finally:
            broker.stop()
