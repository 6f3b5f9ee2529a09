"""Sends fetches on a connection of their own, so that no other request waits behind an idle one.

A broker answers the requests of one connection in their order, and an idle fetch waits at the
broker until records come, here for up to a second and a half. aiokafka 0.14 keeps two connections
to each broker, one of them for the group; everything else shares the other one with the fetches.
Where a log begins and where it ends is asked after each rebalance before the first record is
delivered, and metadata whenever a topic is new: each of these questions waited for a fetch.

Not reported. Kafka's client for Java has fetches on the common connection, too.

- Symptom: on idle topics, `end_offsets` and `beginning_offsets` take up to `fetch_max_wait_ms`.
- Reproduction: `AIOKafkaConsumer("t", fetch_max_wait_ms=5000)` on an empty topic, and some seconds
  after its start `await consumer.end_offsets(consumer.assignment())`.
- Mend: a `ConnectionGroup` for fetches, as there is one for the group's coordinator; and a fetch
  that is cancelled closes its connection.
"""

import asyncio
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

FETCHES = "fetches"
"""The group of these connections: aiokafka keeps connections by broker and group, whose key may be
anything.
"""


def fetch_apart(client: Any) -> None:
    """Make a consumer's `AIOKafkaClient` send its fetches on connections of their own."""
    send = client.send

    async def send_apart(node: Any, request: Any, **kwargs: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await send(node, request, **kwargs)
        try:
            return await send(node, request, **(kwargs | {"group": FETCHES}))
        except asyncio.CancelledError:
            # A rebalance has cancelled it. The broker still waits, and the next assignment's first
            # fetch would have to wait behind this one.
            connection = client._conns.get((node, FETCHES))  # noqa: SLF001
            if connection is not None:
                connection.close()
            raise

    client.send = send_apart
