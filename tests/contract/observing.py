"""What Kafka says of a group, on `tests.fakes.group` as on a real broker."""

from collections.abc import Sequence
from typing import Protocol

from faust.types import TP

from app.kafka.group_view import STABLE, GroupView, Reach
from app.monitoring.progress.watch import Client


class Group(Protocol):
    """A group that nobody is in, and a topic of two partitions without a record."""

    observer: Client
    first: TP
    second: TP

    async def write(self, timestamps: Sequence[int]) -> None:
        """Append a record for each of these times (epoch millis) to the first partition."""

    async def delete_before(self, offset: int) -> None:
        """Delete the first records of the first partition, as retention does."""

    async def commit(self, offset: int) -> None:
        """Commit an offset of the first partition."""

    async def join(self) -> None:
        """A member joins, and is assigned both partitions."""


async def look(group: Group) -> GroupView:
    topics = await group.observer.topics()
    return await group.observer.look(topics, [group.first.topic])


class TestObserver:
    async def test_topics_have_partitions(self, group: Group) -> None:
        assert (await group.observer.topics())[group.first.topic] == 2

    async def test_before_the_first_commit_there_are_ends_and_no_members(
        self, group: Group
    ) -> None:
        await group.write([1000, 2000])
        view = await look(group)
        assert view.members == {}
        assert not view.stable
        assert group.first.topic in view.topics
        assert view.partitions[group.first] == Reach(0, 2, None)
        second = view.partitions[group.second]
        assert (second.end, second.committed, second.lag) == (0, None, 0)

    async def test_where_nothing_is_unread_there_is_no_lag(self, group: Group) -> None:
        await group.write([1000, 2000])
        await group.commit(2)
        for _ in range(2):
            first = (await look(group)).partitions[group.first]
            assert (first.end, first.committed, first.lag) == (2, 2, 0)

    async def test_how_far_the_group_is(self, group: Group) -> None:
        await group.write([1000, 2000, 3000])
        await group.commit(2)
        await group.delete_before(1)
        assert (await look(group)).partitions[group.first] == Reach(1, 3, 2)

    async def test_who_reads_what(self, group: Group) -> None:
        await group.join()
        view = await look(group)
        assert view.state == STABLE
        ((name, member),) = view.members.items()
        assert member.partitions == {group.first, group.second}
        assert view.holders() == {group.first: name, group.second: name}

    async def test_only_what_is_wanted_is_looked_at(self, group: Group) -> None:
        topics = await group.observer.topics()
        assert (await group.observer.look(topics, [])).partitions == {}

    async def test_when_a_record_was_written(self, group: Group) -> None:
        # One batch each: of a batch that is compressed only the first time is read.
        for at in (1000, 2000, 3000):
            await group.write([at])
        await group.observer.topics()
        assert await group.observer.oldest(group.first, 1) == 2000
        assert await group.observer.oldest(group.first, 3) is None
        assert await group.observer.oldest(group.second, 0) is None
