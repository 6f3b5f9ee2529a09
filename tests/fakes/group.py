"""What Kafka says of a consumer group and its topics; `tests/contract` proves it."""

from dataclasses import dataclass, field

from faust.types import TP

from app.kafka.group_view import STABLE, GroupView, Member, Reach


@dataclass
class FakeObserver:
    """An `Observer` of a group that a test makes up.

    Attributes:
        state: of the group.
        members: the partitions of each, by member id.
        reaches: how far the group is.
        written: when the records were written, by offset; there are none at other offsets.
        topics_there: topics with their partitions.
        failing: what every question fails with.
        connected, closed: how often.
        asked: which records were asked for.
        wanted: the topics of the last look.
    """

    state: str = STABLE
    members: dict[str, frozenset[TP]] = field(default_factory=dict)
    reaches: dict[TP, Reach] = field(default_factory=dict)
    written: dict[TP, dict[int, int]] = field(default_factory=dict)
    topics_there: dict[str, int] = field(default_factory=dict)
    failing: Exception | None = None
    connected: int = 0
    closed: int = 0
    asked: list[tuple[TP, int]] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    async def connect(self, _: object) -> "FakeObserver":
        self.connected += 1
        return self

    async def topics(self) -> dict[str, int]:
        if self.failing:
            raise self.failing
        return dict(self.topics_there)

    async def look(self, topics: dict[str, int], wanted: list[str]) -> GroupView:
        self.wanted = list(wanted)
        members = {name: Member("host", held) for name, held in self.members.items()}
        reaches = {tp: reach for tp, reach in self.reaches.items() if tp.topic in wanted}
        return GroupView(self.state, members, frozenset(topics), reaches)

    async def oldest(self, tp: TP, offset: int) -> int | None:
        self.asked.append((tp, offset))
        later = [at for at in self.written.get(tp, {}) if at >= offset]
        return self.written[tp][min(later)] if later else None

    async def close(self) -> None:
        self.closed += 1
