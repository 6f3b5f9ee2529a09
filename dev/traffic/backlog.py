"""Fills one topic with records, for benchmarks and load tests of the persister alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from random import Random

from dev.traffic.pace import Pace
from dev.traffic.texts import Texts
from dev.traffic.traffic import START
from models.activation import Activation, ActivationResponse
from models.messages import ResultMessage, encode
from models.transid import TransactionId
from models.wire import Version
from openwhisk.store import Publishes

NAMESPACE = "guest"
_ID = "0" * 32
_TEMPLATES = 4096
"""Texts before one comes again: so many that Kafka's compression does not find them twice."""

_CHUNK = 1000
_IN_FLIGHT = 8


async def prefill(
    publisher: Publishes,
    topic: str,
    count: int,
    size: int = 1024,
    *,
    seed: int = 0,
    rate: float | None = None,
    on_progress: Callable[[int], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[str]:
    """Produce `ResultMessage`s whose records differ in little but their ids.

    Args:
        publisher: to Kafka; started.
        topic: its full name; must exist.
        count: of records.
        size: bytes of each message; not less than a record's other fields need.
        seed: of ids and contents.
        rate: records per second; None: as fast as possible.
        on_progress: is called with the number of records that Kafka has just acknowledged.
        clock: monotonic seconds.
        sleep: waits for seconds.

    Returns:
        The ids of the documents that must exist afterwards.

    Raises:
        ExceptionGroup: of `PublishError`: Kafka did not take a record.
    """
    pace = Pace(rate, clock=clock, sleep=sleep)
    chunk = max(1, min(_CHUNK, int(rate / 10) if rate else _CHUNK))
    pending = iter(messages(count, size, seed=seed))
    ids: list[str] = []
    in_flight = asyncio.Semaphore(_IN_FLIGHT)

    async def send(part: list[bytes]) -> None:
        try:
            for error in await publisher.publish_all(topic, part):
                if error is not None:
                    raise error
        finally:
            in_flight.release()
        on_progress(len(part))

    async with asyncio.TaskGroup() as group:
        while part := list(islice(pending, chunk)):
            ids += [f"{NAMESPACE}/{activation_id}" for activation_id, _ in part]
            await pace.wait(len(part))
            await in_flight.acquire()
            group.create_task(send([value for _, value in part]))
    return ids


def messages(count: int, size: int = 1024, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield the activation id and encoded message of each record; deterministic."""
    random = Random(seed)  # noqa: S311 - nothing here is secret
    texts = Texts(random)
    templates = [_template(texts, size).split(_ID.encode()) for _ in range(min(count, _TEMPLATES))]
    for number in range(count):
        activation_id = texts.activation_id()
        before, after = templates[number % len(templates)]
        yield activation_id, b"%b%b%b" % (before, activation_id.encode(), after)


def _template(texts: Texts, size: int) -> bytes:
    bare = _message(texts, "")
    return _message(texts, texts.text(max(0, size - len(bare))))


def _message(texts: Texts, body: str) -> bytes:
    activation = Activation(
        namespace=NAMESPACE,
        name="hello",
        subject="guest-subject",
        activation_id=_ID,
        start=START,
        end=START + 87,
        response=ActivationResponse(status_code=0, result={"body": body}),
        logs=[],
        version="0.0.1",
        publish=False,
        annotations={
            "path": f"{NAMESPACE}/hello",
            "waitTime": 31,
            "kind": "nodejs:20",
            "timeout": False,
            "limits": {"concurrency": 1, "logs": 10, "memory": 256, "timeout": 60_000},
        },
        duration=87,
    )
    transid = TransactionId(id=texts.alphanumeric(32), start=START - 133)
    return encode(ResultMessage(transid=transid, response=activation), Version.CURRENT)
