"""The changelog topic of the guard's table, as it is created."""

from app.application import app


def test_kafkas_clock_counts_not_the_workers() -> None:
    topic = app.guard_table.changelog_topic
    assert (topic.config or {})["message.timestamp.type"] == "LogAppendTime"
    assert topic.compacting
