"""Traffic that pauses: nothing is sent meanwhile, and nothing is lost."""

import asyncio
from collections.abc import Sequence

from dev.chaos.flow import Doubting, Flow
from openwhisk.publisher import PublishError


class Publisher:
    """Notes what it was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:  # noqa: ARG002
        self.sent.append(value)

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:  # noqa: ARG002
        self.sent += values
        return [None] * len(values)


async def test_what_is_published_waits_while_traffic_pauses() -> None:
    publisher = Publisher()
    doubting = Doubting(publisher)
    await doubting.publish("topic", b"1")
    doubting.open.clear()
    waiting = [
        asyncio.create_task(doubting.publish("topic", b"2")),
        asyncio.create_task(doubting.publish_all("topic", [b"3", b"4"])),
    ]
    await asyncio.sleep(0)
    assert publisher.sent == [b"1"]
    doubting.open.set()
    await asyncio.gather(*waiting)
    assert publisher.sent == [b"1", b"2", b"3", b"4"]
    assert not doubting.doubtful


async def test_traffic_comes_and_goes_unless_it_is_paused_or_needed() -> None:
    flow = Flow("kafka://127.0.0.1:1", "test-", seed=1, rate=1.0)
    sends = flow._doubting.open.is_set
    flow.ebb(ebbing=True)
    assert not sends()
    with flow.insisting():
        assert sends()
        with flow.paused(), flow.paused():
            assert not sends()
        assert sends()
    assert not sends()
    flow.ebb(ebbing=False)
    assert sends()
