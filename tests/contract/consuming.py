"""What the consumer's thread answers, on `tests.fakes.consumer_thread` as on a real broker."""

from typing import Any, Protocol

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from app.kafka.delivery.notes import Note


class Topic(Protocol):
    """A topic of two partitions that the thread is assigned, of which nothing is committed."""

    thread: Any
    first: TP
    second: TP

    async def write(self, records: int) -> None:
        """Append so many records to the first partition."""

    async def delete_before(self, offset: int) -> None:
        """Delete the first records of the first partition, as retention does."""

    async def vanish(self) -> None:
        """Delete the topic, and wait until nobody knows it any more."""

    async def recreate(self) -> None:
        """Delete the topic and create it again, and wait until everybody knows that."""

    async def revoke(self) -> None:
        """Take both partitions away."""


class TestConsumerThread:
    async def test_where_a_log_begins_and_ends(self, topic: Topic) -> None:
        await topic.write(3)
        await topic.delete_before(1)
        both = (topic.first, topic.second)
        assert await topic.thread.earliest_offsets(*both) == {topic.first: 1, topic.second: 0}
        assert await topic.thread.highwaters(*both) == {topic.first: 3, topic.second: 0}
        assert await topic.thread.extents(both) == {topic.first: (1, 3), topic.second: (0, 0)}

    async def test_what_was_never_committed_is_told_from_the_offset_0(self, topic: Topic) -> None:
        await topic.write(1)
        assert await topic.thread.commit_what_can({topic.first: 0}, {}) == {}
        assert await topic.thread.seek_to_committed() == {topic.first: 0, topic.second: None}

    async def test_what_was_committed_is_where_it_goes_on(self, topic: Topic) -> None:
        await topic.write(3)
        assert await topic.thread.commit_what_can({topic.first: 2}, {}) == {}
        assert await topic.thread.seek_to_committed() == {topic.first: 2, topic.second: None}

    async def test_what_was_never_committed_is_told_without_seeking(self, topic: Topic) -> None:
        await topic.write(1)
        assert await topic.thread.commit_what_can({topic.first: 1}, {}) == {}
        both = (topic.first, topic.second)
        assert await topic.thread.without_commit(both) == {topic.second}

    async def test_a_log_that_was_not_cut_holds_what_was_read(self, topic: Topic) -> None:
        await topic.write(2)
        await topic.thread.seek_wait({topic.first: 0})
        while not await topic.thread.getmany({topic.first}, 1.0):
            pass
        notes = {topic.first: Note(topic.thread.epoch_before(topic.first, 2))}
        assert await topic.thread.commit_what_can({topic.first: 2}, notes) == {}
        assert await topic.thread.overwritten([topic.first, topic.second]) == {}

    async def test_a_topic_has_an_id_while_it_is_there(self, topic: Topic) -> None:
        both = [topic.first, topic.second]
        known = await topic.thread.topic_ids([*both, TP("nobodys", 0)], {})
        assert known.keys() == set(both)
        assert len(set(known.values())) == 1
        assert {len(found) for found in known.values()} == {16}
        assert await topic.thread.topic_ids([topic.first], known) == {topic.first: known[both[0]]}
        await topic.vanish()
        assert await topic.thread.topic_ids(both, known) == {}

    async def test_a_commit_says_of_which_topic_it_is(self, topic: Topic) -> None:
        await topic.write(3)
        known = await topic.thread.topic_ids([topic.first, topic.second], {})
        notes = {tp: Note(topic=one) for tp, one in known.items()}
        assert await topic.thread.commit_what_can({topic.first: 2, topic.second: 0}, notes) == {}
        await topic.thread.seek_to_committed()
        assert topic.thread.noted_topics == known

    async def test_a_commit_after_its_topic_was_recreated_is_taken_and_still_says_of_which_it_is(
        self, topic: Topic
    ) -> None:
        await topic.write(3)
        known = await topic.thread.topic_ids([topic.first], {})
        await topic.recreate()
        assert await topic.thread.seek_to_committed() == {topic.first: None, topic.second: None}
        notes = {topic.first: Note(topic=known[topic.first])}
        while await topic.thread.commit_what_can({topic.first: 2}, notes):
            pass  # the group rebalances
        assert await topic.thread.seek_to_committed() == {topic.first: 2, topic.second: None}
        assert topic.thread.noted_topics == known
        now = await topic.thread.topic_ids([topic.first], known)
        assert now.keys() == known.keys()
        assert now != known

    async def test_records_are_fetched_by_partition(self, topic: Topic) -> None:
        await topic.write(2)
        await topic.thread.seek_wait({topic.first: 0, topic.second: 0})
        fetched: list[Any] = []
        while len(fetched) < 2:
            found = await topic.thread.getmany({topic.first, topic.second}, 1.0)
            assert set(found) <= {topic.first}
            fetched += found.get(topic.first, ())
        assert [record.offset for record in fetched] == [0, 1]
        assert await topic.thread.getmany({topic.first, topic.second}, 0.1) == {}

    async def test_what_was_revoked_is_neither_sought_nor_committed(self, topic: Topic) -> None:
        await topic.write(1)
        await topic.revoke()
        assert not topic.thread.assignment() & {topic.first, topic.second}
        with pytest.raises(IllegalStateError):
            await topic.thread.seek_wait({topic.first: 0})
        await topic.thread.commit_what_can({topic.first: 1}, {})
        assert topic.first not in await topic.thread.seek_to_committed()

    async def test_a_log_that_is_gone_has_neither_begin_nor_end(self, topic: Topic) -> None:
        await topic.write(1)
        await topic.vanish()
        assert await topic.thread.highwaters(topic.first) == {}
        assert await topic.thread.extents([topic.first, topic.second]) == {}
        assert await topic.thread.earliest_offsets(topic.first, topic.second) == {}
