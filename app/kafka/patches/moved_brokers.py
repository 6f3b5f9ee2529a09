"""Bootstraps again when a cluster has moved, and rate-limits requests for metadata.

aiokafka 0.14 (`AIOKafkaClient._metadata_update`) looks at its bootstrap addresses once, when it
starts. When no broker that it knows can be reached it tries the same ones for ever, although the
cluster answers at the bootstrap address: after a disaster recovery, a redeployment in Kubernetes,
or an outage in which all of them got new addresses (aio-libs/aiokafka#456, #459; Kafka's own
clients: KAFKA-8206, KIP-899). Here it then bootstraps again.

And a client that waits for metadata that do not change (a topic is gone, a broker is away)
asks for them again at once: some thousand requests and log calls a second, a third of a processor.
Here a client asks `OFTEN` times in a second at most.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from functools import wraps
from time import monotonic
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from app.kafka.wrapping import wrap

Update = Callable[..., Awaitable[bool]]

OFTEN = 10
"""Requests for metadata per second and client. A start sends several at once, and should not be
slowed down.
"""

SECOND = 1.0

ANSWER_SECONDS = 10.0
"""Seconds for all known brokers together, and for each bootstrap server. If an address neither
accepts nor refuses connections, aiokafka would wait for its request time-out (40 s) each time.
"""


def follow_moved_brokers() -> None:
    """Make every Kafka client of this process bootstrap again when all its brokers are gone."""
    wrap(AIOKafkaClient, "_metadata_update", following)


def following(update: Update) -> Update:
    """Wrap `AIOKafkaClient._metadata_update` to ask the bootstrap servers if no broker answers."""

    @wraps(update)
    async def updating(client: Any, cluster: Any, topics: Any) -> bool:
        await _take_turns(client)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                if await update(client, cluster, topics):
                    return True
        return await _bootstrap(client, cluster, topics)

    return updating


async def _take_turns(client: Any) -> None:
    asked: deque[float] | None = getattr(client, "_asked_for_metadata", None)
    if asked is None:
        asked = client._asked_for_metadata = deque(maxlen=OFTEN)  # noqa: SLF001
    if len(asked) == OFTEN and (pause := asked[0] + SECOND - monotonic()) > 0:
        await asyncio.sleep(pause)
    asked.append(monotonic())


async def _bootstrap(client: Any, cluster: Any, topics: Any) -> bool:
    """Update the metadata from the first bootstrap server that answers; False if none does."""
    request = MetadataRequest(list(topics) if topics else None)
    for host, port, _ in client.hosts:
        with contextlib.suppress(OSError, KafkaError, asyncio.TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = await connect_as(client, host, port)
                try:
                    metadata = await connection.send(request)
                finally:
                    connection.close()
            if metadata.brokers:
                cluster.update_metadata(metadata)
                return True
    return False


async def connect_as(client: Any, host: str, port: int) -> AIOKafkaConnection:
    """Connect with the options of a client, as its own `bootstrap` does."""
    return await create_conn(
        host,
        port,
        client_id=client._client_id,  # noqa: SLF001
        request_timeout_ms=client._request_timeout_ms,  # noqa: SLF001
        ssl_context=client._ssl_context,  # noqa: SLF001
        security_protocol=client._security_protocol,  # noqa: SLF001
        max_idle_ms=client._connections_max_idle_ms,  # noqa: SLF001
        sasl_mechanism=client._sasl_mechanism,  # noqa: SLF001
        sasl_plain_username=client._sasl_plain_username,  # noqa: SLF001
        sasl_plain_password=client._sasl_plain_password,  # noqa: SLF001
        sasl_kerberos_service_name=client._sasl_kerberos_service_name,  # noqa: SLF001
        sasl_kerberos_domain_name=client._sasl_kerberos_domain_name,  # noqa: SLF001
        sasl_oauth_token_provider=client._sasl_oauth_token_provider,  # noqa: SLF001
    )
