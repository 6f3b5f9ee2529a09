"""The changelog topic of the guard's table, as it is created."""

from app.application import create_app
from app.settings import load


def test_kafkas_clock_counts_not_the_workers() -> None:
    topic = create_app(load()).guard_table.changelog_topic
    assert (topic.config or {})["message.timestamp.type"] == "LogAppendTime"
    assert topic.compacting
