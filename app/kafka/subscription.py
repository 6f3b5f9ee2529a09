"""The subscription to OpenWhisk's topics.

Faust cannot subscribe to a pattern, so the topics of each role are passed by name to the channel
that its agent reads.
"""

from collections.abc import Collection, Mapping
from typing import Any

from faust.types.transports import ConductorT

from app.kafka.delivery import ChunkTopic
from app.kafka.topics import TopicNames, other_mode
from app.settings import LogMode
from models.roles import TopicRole


class Subscription:
    """The topics of each role, and whether Faust has subscribed to them.

    Args:
        conductor: Faust's conductor, which subscribes.
        channels: the channel that the agent of each role reads.
        names: the names of the topics.
        log_mode: decides which topics are read.
    """

    def __init__(
        self,
        conductor: ConductorT,
        channels: Mapping[TopicRole, ChunkTopic],
        names: TopicNames,
        log_mode: LogMode,
    ) -> None:
        self._conductor: Any = conductor
        self._declared = channels
        self._names = names
        self._log_mode = log_mode
        self.overlooked: tuple[str, ...] = ()
        """Topics to which OpenWhisk would write in the other log mode."""
        self.elsewhere: tuple[str, ...] = ()
        """Topics that look like OpenWhisk's, as long as none is read."""

    @property
    def topics(self) -> set[str]:
        """The OpenWhisk topics that are read."""
        return {topic for channel in self._channels() for topic in channel.topics}

    @property
    def in_faust(self) -> set[str]:
        """The topics that Faust subscribes to, the persister's own included."""
        return set(self._conductor._topic_name_index)  # noqa: SLF001

    def add(self, existing: Collection[str]) -> set[str]:
        """Give every channel the topics of its role; returns the new ones.

        Topics that vanish stay subscribed: deletion is rare, and records in flight still have to be
        committed.
        """
        self.overlooked = self._names.overlooked(existing, self._log_mode)
        self.elsewhere = self._names.elsewhere(existing, self._log_mode)
        by_role = self._names.by_role(existing, self._log_mode)
        new: set[str] = set()
        for channel in self._channels():
            found = set(by_role[channel.role] if channel.role else ()) - set(channel.topics)
            if found:
                channel.topics = (*channel.topics, *sorted(found))
                new |= found
        return new

    def warning(self) -> str:
        """A warning about overlooked topics; empty if there are none."""
        if not self.overlooked:
            return ""
        names = " and ".join(self.overlooked)
        return f"Not read, as PERSISTER_LOG_MODE is {self._log_mode}: {names}. {self.advice}."

    @property
    def advice(self) -> str:
        """What to do about overlooked topics."""
        return other_mode(self._log_mode)

    @property
    def advice_elsewhere(self) -> str:
        """What to do about the topics of `elsewhere`; empty if there are none."""
        return self._names.would_read(self.elsewhere) if self.elsewhere else ""

    def renew(self) -> None:
        """Make Faust subscribe again if a topic is missing from its subscription.

        To be called repeatedly, because Faust forgets a change that comes during a rebalance.
        """
        changed = self._conductor._subscription_changed  # noqa: SLF001 - what Conductor.add does
        if changed is not None and not self.topics <= self.in_faust:
            changed.set()

    def _channels(self) -> list[ChunkTopic]:
        """The topics that agents are declared on, and the clones that they read while running."""
        running = [channel for channel in self._conductor if isinstance(channel, ChunkTopic)]
        return [*self._declared.values(), *(channel for channel in running if channel.role)]
