"""Works around uvloop's RuntimeError on a closed transport, which ends aiokafka's metadata task.

Writing to a connection that the broker has just closed is ignored by asyncio's transport, and
aiokafka is prepared for an `OSError`. uvloop raises a `RuntimeError`: aiokafka 0.14 lets it end the
task that keeps a client's metadata up to date, for ever. Whoever waits for metadata then waits for
ever too, and holds the lock without which nobody finds the group's coordinator: the worker neither
fetches, commits, heartbeats nor stops.

Reported: aio-libs/aiokafka#1038 (with aiokafka 0.11, from a commit), MagicStack/uvloop#506; open.
Mend: `AIOKafkaConnection.send` expects `(OSError, RuntimeError)` of `writer.write`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

from app.kafka.wrapping import wrap

Send = Callable[..., Any]


def mend_connections() -> None:
    """Make every connection of this process report a closed transport as a broken connection."""
    wrap(AIOKafkaConnection, "send", reporting)


def reporting(send: Send) -> Send:
    """Wrap `AIOKafkaConnection.send` to raise `KafkaConnectionError` for a closed transport."""

    @wraps(send)
    def send_reporting(connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return send(connection, *args, **kwargs)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(
                f"Connection at {connection.host}:{connection.port} broken: {error}"
            ) from error

    return send_reporting
