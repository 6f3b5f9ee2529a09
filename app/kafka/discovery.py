"""Topic discovery: the persister's own topics at start-up, OpenWhisk's then and while it runs.

Faust cannot subscribe to a pattern, so a service polls for topics and passes their names to the
channels that agents read. Kafka then rebalances once, and the new topics are consumed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service

from app.kafka.access import check_own, when_kafka_answers
from app.kafka.admin import Admin, UnreadableSettingsError, open_admin
from app.kafka.delivery.thread import ConsumerThread
from app.kafka.group_past import would_begin_again
from app.kafka.subscription import Subscription
from app.kafka.topic_settings import made_by_kafka, shortcomings
from app.kafka.topics import (
    TopicNames,
    TopicSpec,
    guard_changelog,
    may_not_grow,
    not_created,
    own_topics,
    too_many_partitions,
)
from app.process.errors import StartError
from app.process.words import counted, listed
from app.settings import KafkaSettings

EARLY, LATE = 0.5, 1.25
"""When to look again, in discovery intervals: with topics that somebody else has fetched, and at
the latest, asking Kafka.
"""


class OwnTopicError(StartError):
    """One of the persister's own topics cannot be used; the message says what to change."""


def other_number(topic: str, partitions: int) -> str:
    """What to do about a topic whose number of partitions is not the configured one."""
    return (
        f"{topic} has {partitions} partitions, and the guard's table needs as many: "
        f"set PERSISTER_PARTITIONS={partitions}"
    )


def _gone(topics: Collection[str]) -> OwnTopicError:
    return OwnTopicError(
        f"{' and '.join(sorted(topics))} is gone from Kafka: was it deleted, or has Kafka come "
        "back without its data? What it held cannot be stored any more; the next start makes it "
        "again"
    )


def _unseen(topics: Collection[str]) -> OwnTopicError:
    """Kafka does not list to a client what it may not describe."""
    return OwnTopicError(
        f"{' and '.join(sorted(topics))} is gone from Kafka, or may not be seen any more: was it "
        "deleted, has Kafka come back without its data, or was the right Describe on it taken "
        "away? If it is gone, what it held cannot be stored any more, and the next start makes it "
        "again; if the right is missing, nothing is lost: grant it"
    )


class OwnTopics(Service):
    """Waits for Kafka at start-up, creates the persister's own topics, and finds OpenWhisk's.

    Args:
        settings: how to connect, and how to create topics.
        names: the names of the topics.
        subscription: gets OpenWhisk's topics.
        worker: the waiting ends when it is told to stop.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        names: TopicNames,
        subscription: Subscription,
        worker: Service,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._names = names
        self._subscription = subscription
        self._worker = worker

    async def on_start(self) -> None:
        """Return once the topics exist.

        Raises:
            OwnTopicError: one of them cannot be created, or has the wrong number of partitions.
            AccessError: one that was created may not be read or written.
        """
        await when_kafka_answers(self._settings, self._worker, self._prepare)

    async def _prepare(self) -> None:
        async with open_admin(self._settings) as admin:
            existing = await admin.partition_counts()
            own = own_topics(self._names, self._settings)
            for spec in own:
                if spec.name in existing:
                    await self._check(admin, spec, existing[spec.name])
                else:
                    await self._create(admin, spec, self._settings.replication)
            # Of those that were missing, Kafka tells it only now.
            await check_own(admin, self._settings, [spec.name for spec in own])
            changelog = guard_changelog(self._settings)
            if changelog.name in existing:
                await self._fit(admin, changelog, existing[changelog.name])
            self._subscription.add(existing)
            try:
                again = await would_begin_again(admin, self._settings, self._names)
            except KafkaError as error:
                self.log.info("Cannot see what the group has committed: %s.", error)
                again = None
        if again:
            self.log.warning("%s.", again)
        self._report()

    async def _create(self, admin: Admin, spec: TopicSpec, replication: int) -> None:
        try:
            await admin.create(spec, replication)
        except KafkaError as error:
            if error.retriable:
                raise
            raise OwnTopicError(not_created(spec, replication, error)) from None
        self.log.info("Created topic %s with %s.", spec.name, counted(spec.partitions, "partition"))

    async def _check(self, admin: Admin, spec: TopicSpec, partitions: int) -> None:
        if await self._put_right(admin, spec, partitions):
            return
        if spec.name == self._names.documents and partitions != spec.partitions:
            raise OwnTopicError(other_number(spec.name, partitions))
        try:
            settings = await admin.topic_settings([spec.name], spec.config)
        except UnreadableSettingsError as error:
            self.log.warning("Cannot check the settings of a topic: %s.", error)
        else:
            for shortcoming in shortcomings(spec, settings[spec.name]):
                self.log.warning("%s.", shortcoming)

    async def _fit(self, admin: Admin, changelog: TopicSpec, partitions: int) -> None:
        """Give the guard's changelog as many partitions as the internal topic.

        An operator may have added partitions to the internal topic. The guard's entry for a record
        may then be in another partition than the record; the database's conflict answers still
        catch its duplicates.
        """
        if (
            await self._put_right(admin, changelog, partitions)
            or partitions == changelog.partitions
        ):
            return
        if partitions > changelog.partitions:
            raise OwnTopicError(too_many_partitions(changelog, partitions, self._names.documents))
        try:
            await admin.grow(changelog.name, changelog.partitions)
        except KafkaError as error:
            if error.retriable:
                raise
            raise OwnTopicError(may_not_grow(changelog, partitions, str(error))) from None
        self.log.warning(
            "%s has %d partitions now instead of %d, as %s has.",
            *(changelog.name, changelog.partitions, partitions, self._names.documents),
        )

    async def _put_right(self, admin: Admin, spec: TopicSpec, partitions: int) -> bool:
        """Correct a topic that Kafka has created automatically; returns whether it was one."""
        if partitions >= spec.partitions:
            return False
        try:
            actual = (await admin.topic_settings([spec.name], spec.config))[spec.name]
        except UnreadableSettingsError:
            return False
        if not made_by_kafka(spec, partitions, actual):
            return False
        try:
            await admin.grow(spec.name, spec.partitions)
            await admin.change_topic_settings(spec.name, spec.config)
        except KafkaError as error:
            if error.retriable:
                raise
            raise OwnTopicError(
                f"Kafka made {spec.name} by itself (auto.create.topics.enable), and does not let "
                f"it be changed ({error}): grant Alter and AlterConfigs on it, or delete it"
            ) from None
        self.log.warning(
            "Kafka made %s by itself (auto.create.topics.enable), with one partition: it has %d "
            "now, and the settings that it must have.",
            *(spec.name, spec.partitions),
        )
        return True

    def _report(self) -> None:
        if warning := self._subscription.warning():
            self.log.warning("%s", warning)
        topics = sorted(self._subscription.topics)
        if topics:
            self.log.info("Reading %s.", ", ".join(topics))
        else:
            self.log.info(
                "There is no topic to read yet; looking for new ones every %g s.",
                self._settings.discovery_interval,
            )
            if elsewhere := self._subscription.elsewhere:
                advice = self._subscription.advice_elsewhere
                self.log.warning("Not read: %s: %s.", listed(elsewhere), advice)


class Discovery(Service):
    """Looks for topics that are new, changed, or gone, while the worker runs.

    Services that fetch the list of topics for other reasons pass it on (`hear`); without that, it
    asks Kafka itself.

    Args:
        settings: how to connect, and how often to look.
        own: the persister's own topics, which the worker needs, with their numbers of partitions.
        fixed: those of them that must have exactly that many partitions.
        subscription: gets OpenWhisk's topics.
        thread: returns the consumer's thread.
        read_anew: has topics read from their start that were re-created.
        end: ends the worker with an error message.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        own: Mapping[str, int],
        subscription: Subscription,
        *,
        fixed: Collection[str],
        thread: Callable[[], ConsumerThread],
        read_anew: Callable[[], Awaitable[None]],
        end: Callable[[StartError], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._own = own
        self._fixed = fixed
        self._subscription = subscription
        self._thread = thread
        self._read_anew = read_anew
        self._end = end
        self._admin: Admin | None = None
        self._told: Mapping[str, int] | None = None
        self._heard = asyncio.Event()
        self._blind = False
        self._missing: set[str] = set()
        self._seen: set[str] = set()
        self._ids: dict[TP, bytes] = {}

    @property
    def unreadable(self) -> dict[str, str]:
        """Subscribed topics that may not be read, and why."""
        return dict(self._thread().fetches.unreadable)

    @property
    def unanswered(self) -> frozenset[TP]:
        """Partitions that wait until their new leader says whether it has what was read."""
        return self._thread().unanswered()

    @property
    def overlooked(self) -> dict[str, str]:
        """Topics to which OpenWhisk would write in the other log mode, and what to do."""
        subscription = self._subscription
        return dict.fromkeys(subscription.overlooked, subscription.advice)

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """Topics that look like OpenWhisk's, as long as none is read."""
        return self._subscription.elsewhere

    @property
    def advice_elsewhere(self) -> str:
        """What to do about the topics of `elsewhere`."""
        return self._subscription.advice_elsewhere

    @property
    def refused(self) -> str | None:
        """Why the consumer group does not accept this worker, if it does not."""
        return self._thread().membership.refused

    @property
    def leads(self) -> bool:
        """Whether this worker leads the consumer group, and so assigns its partitions."""
        return self._thread().membership.leads

    async def on_stop(self) -> None:
        """Disconnect."""
        await self._disconnect()

    def hear(self, topics: Mapping[str, int]) -> None:
        """Take a fresh list of all topics, with their numbers of partitions."""
        self._told = topics
        self._heard.set()

    @Service.task
    async def _watch(self) -> None:
        interval = self._settings.discovery_interval
        while not self.should_stop:
            await self.sleep(EARLY * interval)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), (LATE - EARLY) * interval)
            await self.look()

    async def look(self) -> None:
        """Subscribe to new topics and partitions; logs once when Kafka fails and recovers."""
        try:
            await self._look()
        except (KafkaError, OSError) as error:
            if not self._blind:
                name = type(error).__name__
                self.log.warning("Cannot look for new topics (%s); trying again.", name)
            self._blind = True
            await self._disconnect()
            return
        if self._blind:
            self.log.info("Kafka answers again: looking for new topics goes on.")
        self._blind = False

    async def _look(self) -> None:
        existing = await self._existing()
        before = self._subscription.overlooked
        new = self._subscription.add(existing)
        if self._subscription.overlooked != before and self._subscription.overlooked:
            self.log.warning("%s", self._subscription.warning())
        if new:
            self.log.info("Found new topics: %s.", ", ".join(sorted(new)))
        self._subscription.renew()
        self._look_for_own(existing)
        await self._look_for_changed(existing)
        await self._look_for_recreated()

    async def _existing(self) -> Mapping[str, int]:
        told, self._told = self._told, None
        self._heard.clear()
        if told is not None:
            return told
        if self._admin is None:
            self._admin = await Admin.connect(self._settings)
        return await self._admin.partition_counts()

    def _look_for_own(self, existing: Mapping[str, int]) -> None:
        """End the worker if one of its own topics is gone; the next start creates it again.

        Only a restart helps, because the worker's state refers to the lost topic: offsets, the
        producer's sequence numbers and the guard's table. If Kafka has re-created the topic
        automatically, because our clients keep asking for it, it has too few partitions.
        """
        missing = {name for name, count in self._own.items() if existing.get(name, 0) < count}
        # Missing twice in a row, because a broker that has just started may not know all topics,
        # and only if seen before, because a busy broker may not know a new topic for a while.
        gone = missing & self._missing & self._seen
        self._missing = missing
        self._seen |= self._own.keys() - missing
        if gone:
            unseen = gone - existing.keys()
            self._end(_unseen(unseen) if unseen else _gone(gone))
        for name in self._fixed:
            if existing.get(name, 0) > self._own[name]:
                self._end(OwnTopicError(other_number(name, existing[name])))
                return

    async def _look_for_changed(self, existing: Mapping[str, int]) -> None:
        """Refresh the consumer's metadata if topics were re-created or have more partitions."""
        thread = self._thread()
        known = thread.known_partitions(self._subscription.in_faust)
        changed = sorted(name for name, count in known.items() if existing.get(name, 0) != count)
        if told := [name for name in changed if known[name]]:
            self.log.info("Topics have changed: %s.", ", ".join(told))
        if changed:
            await thread.refresh_metadata()

    async def _look_for_recreated(self) -> None:
        """End the worker if one of its own topics was re-created; look after those that it reads.

        If OpenWhisk's are re-created, the consumer has them read from their start.
        """
        own = {TP(name, 0): name for name in self._own}
        ids = await self._thread().topic_ids(own, self._ids)
        recreated = {tp for tp, known in self._ids.items() if ids.get(tp, known) != known}
        if recreated:
            self._end(_gone([own[tp] for tp in recreated]))
            return
        self._ids |= ids
        await self._read_anew()

    async def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()
