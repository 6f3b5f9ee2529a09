"""Bounds how long a client looks for its first broker, and tells why it has found none.

aiokafka 0.14 waits for each bootstrap server for its request time-out (40 s) to connect, again for
the versions that it supports, again for each step of a login, and again for the metadata. And
whatever went wrong, it raises the same "Unable to bootstrap from ..."; the reason is in its log
alone.

Not reported.

- Symptom: an address that takes connections and never answers costs 40 s, one that sends a byte now
  and then minutes, for each client of a process; and a wrong port looks like a broker that is down.
- Reproduction: a client whose `bootstrap_servers` is a socket that listens and answers nothing.
- Mend: `AIOKafkaClient.bootstrap` gives each server `ANSWER_SECONDS` in all, asks those that have
  failed before last, and raises the same error from the reason.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.patches.moved_brokers import connect_as
from app.kafka.patches.refused_logins import refuses
from app.kafka.wrapping import wrap

logger = logging.getLogger("aiokafka")
"""aiokafka's own, which says there why a server cannot be used."""

ANSWER_SECONDS: Final = 15.0
"""Seconds for each bootstrap server: to connect, log in and answer."""

_failed: Final[set[tuple[str, int]]] = set()
"""The servers that failed when they were last asked; a process has several clients."""

Bootstrap = Callable[[Any], Awaitable[None]]


def tell_why_none_answers() -> None:
    """Make every Kafka client of this process start so."""
    wrap(AIOKafkaClient, "bootstrap", telling)


def telling(bootstrap: Bootstrap) -> Bootstrap:
    """Replace `AIOKafkaClient.bootstrap`."""

    @wraps(bootstrap)
    async def bootstrap_or_tell(client: Any) -> None:
        failures: list[Exception] = []
        for host, port, _ in sorted(client.hosts, key=lambda server: server[:2] in _failed):
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await _ask(client, host, port)
            except (KafkaError, OSError) as error:
                logger.error('Unable to bootstrap from "%s:%s": %s', host, port, error)  # noqa: TRY400
                failures.append(error)
                _failed.add((host, port))
            else:
                _failed.discard((host, port))
                break
        else:
            # A refusal says more than a server that is down.
            why = next(filter(refuses, failures), failures[0])
            raise KafkaConnectionError(f"Unable to bootstrap from {client.hosts}") from why
        if client._sync_task is None:  # noqa: SLF001
            client._sync_task = asyncio.create_task(client._md_synchronizer())  # noqa: SLF001

    return bootstrap_or_tell


async def _ask(client: Any, host: str, port: int) -> None:
    connection = await connect_as(client, host, port)
    try:
        client.cluster.update_metadata(await connection.send(MetadataRequest([])))
    except BaseException:
        connection.close()
        raise
    if client.cluster.brokers():
        connection.close()
    else:
        # A cluster without topics may name no broker: this connection is the only one then.
        client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection  # noqa: SLF001
