"""Reports a cluster without a controller as an error of Kafka, which may pass.

Creating and deleting topics is for the controller. While a cluster elects one, metadata name none
(-1), or one that is no broker any more. aiokafka 0.14 (`AIOKafkaAdminClient._send_to_controller`)
asks once more for metadata, and then reads the id of nothing.

Not reported.

- Symptom: `AttributeError: 'NoneType' object has no attribute 'nodeId'`.
- Reproduction: create a topic through a proxy that answers metadata with `controller_id` -1.
- Mend: `NotControllerError`, which is retriable.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NotControllerError

from app.kafka.wrapping import wrap

Send = Callable[..., Awaitable[Any]]


def miss_controllers() -> None:
    """Make every admin client of this process report that there is no controller."""
    wrap(AIOKafkaAdminClient, "_send_to_controller", missing)


def missing(send: Send) -> Send:
    """Wrap `AIOKafkaAdminClient._send_to_controller`."""

    @wraps(send)
    async def send_to_controller(client: Any, request: Any) -> Any:
        try:
            return await send(client, request)
        except AttributeError:
            if client._client.cluster.controller is not None:  # noqa: SLF001
                raise
            raise NotControllerError("the cluster has no controller") from None

    return send_to_controller
