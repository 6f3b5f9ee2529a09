"""What is said of unread records, on `tests.fakes.unread` as on a real broker."""

from collections.abc import Sequence
from typing import Protocol

import pytest
from faust.types import TP

from app.kafka.admin import UnreadableSettingsError
from app.monitoring.retention import Unread
from app.monitoring.retention.policy import Policy
from app.monitoring.retention.unread import RECORD_OVERHEAD


class Topic(Protocol):
    """A topic of one partition that is kept for ever, without a record."""

    unread: Unread
    tp: TP

    async def write(self, records: Sequence[tuple[int, int]]) -> None:
        """Append a batch for each record, given by its time (epoch millis) and its size."""

    async def delete_before(self, offset: int) -> None:
        """Delete the first records, as retention does."""


class TestUnread:
    async def test_it_finds_the_record_at_an_offset(self, topic: Topic) -> None:
        await topic.write([(1000, 10), (2000, 30)])
        found = await topic.unread.head(topic.tp, 1)
        assert found is not None
        assert (found.at, found.size) == (2000, 30 + RECORD_OVERHEAD)

    async def test_it_finds_the_first_record_that_is_left(self, topic: Topic) -> None:
        await topic.write([(1000, 10), (2000, 30)])
        await topic.delete_before(1)
        found = await topic.unread.head(topic.tp, 0)
        assert found is not None
        assert found.at == 2000

    async def test_there_is_none_at_the_end(self, topic: Topic) -> None:
        await topic.write([(1000, 10)])
        assert await topic.unread.head(topic.tp, 1) is None

    async def test_it_reads_how_long_a_topic_is_kept(self, topic: Topic) -> None:
        assert await topic.unread.policies({topic.tp.topic}) == {topic.tp.topic: Policy()}
        assert await topic.unread.policies(set()) == {}

    async def test_a_missing_topic_is_an_error_with_its_name(self, topic: Topic) -> None:
        missing = f"{topic.tp.topic}-missing"
        with pytest.raises(UnreadableSettingsError, match=f"^{missing}: "):
            await topic.unread.policies({missing})

    async def test_after_disconnecting_it_connects_again(self, topic: Topic) -> None:
        await topic.write([(1000, 10)])
        await topic.unread.head(topic.tp, 0)
        await topic.unread.disconnect()
        assert await topic.unread.head(topic.tp, 0) is not None
        assert await topic.unread.policies({topic.tp.topic})
