"""What Kafka says of unread records and of how long it keeps them; `tests/contract` proves it."""

from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from app.kafka.admin import UnreadableSettingsError
from app.monitoring.retention.policy import Head, Policy


class FakeUnread:
    """An `Unread` of topics that a test makes up.

    Attributes:
        policies_of: how long each topic is kept.
        heads: the records that are there, by partition and offset.
        asked: which records were asked for.
        failing: whether Kafka is away.
        disconnected: how often.
    """

    def __init__(self) -> None:
        self.policies_of: dict[str, Policy] = {}
        self.heads: dict[TP, dict[int, Head]] = {}
        self.asked: list[tuple[TP, int]] = []
        self.failing = False
        self.disconnected = 0

    async def policies(self, topics: set[str]) -> dict[str, Policy]:
        if self.failing:
            raise KafkaConnectionError("refused")
        if missing := topics - self.policies_of.keys():
            raise UnreadableSettingsError(f"{min(missing)}: UnknownTopicOrPartitionError")
        return {topic: self.policies_of[topic] for topic in topics}

    async def head(self, tp: TP, offset: int) -> Head | None:
        self.asked.append((tp, offset))
        there = self.heads.get(tp, {})
        later = [at for at in there if at >= offset]
        return there[min(later)] if later else None

    async def disconnect(self) -> None:
        self.disconnected += 1
