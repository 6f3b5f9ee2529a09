"""Bounds how often a broker may have a password hashed for a login by SCRAM.

The broker tells how many iterations it hashed the password with, and the client does as many before
it can prove that it knows the password. aiokafka 0.14 takes any number: two billion keep a thread
busy for half an hour, for each attempt, and nothing ends it; and one makes it cheap to guess the
password from the proof. Kafka itself takes 4096 to 16384 (`ScramMechanism`, `ScramControlManager`).

Not reported.

- Symptom: a client that says nothing, and a processor that is busy.
- Reproduction: answer the first `SaslAuthenticate` with `r=<nonce>,s=c2FsdA==,i=2000000000`.
- Mend: bounds in `ScramAuthenticator.process_server_first_message`, as Kafka's client for Java has
  the lower one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import ScramAuthenticator

from app.kafka.wrapping import wrap

LEAST, MOST = 4096, 1_000_000
"""The latter takes a second."""


def bound_iterations() -> None:
    """Have every login of this process refuse other numbers."""
    wrap(ScramAuthenticator, "create_salted_password", bounding)


def bounding(create: Callable[..., None]) -> Callable[..., None]:
    """`ScramAuthenticator.create_salted_password` that raises `ValueError` for other numbers."""

    @wraps(create)
    def create_within_bounds(self: Any, salt: bytes, iterations: int) -> None:
        if not LEAST <= iterations <= MOST:
            raise ValueError(f"a login takes {LEAST} to {MOST} iterations, not {iterations}")
        create(self, salt, iterations)

    return create_within_bounds
