"""Checks Kafka: connection, rights and topic settings."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import NamedTuple

from faust.types import TP

from app.doctor.finding import Finding, State
from app.kafka.access import READ_WRITE, ask, check_rights, explain, lacking
from app.kafka.admin import MIN_IN_SYNC, UNCLEAN, Admin, UnreadableSettingsError, open_admin
from app.kafka.clients import RECORD_OVERHEAD
from app.kafka.errors import KafkaError
from app.kafka.group_past import would_begin_again
from app.kafka.group_view import Observer, Reach
from app.kafka.metadata import Right
from app.kafka.topic_settings import asks_for_too_many, shortcomings, takes_no_records
from app.kafka.topics import (
    TopicNames,
    TopicSpec,
    after_loss,
    guard_changelog,
    may_not_grow,
    not_created,
    other_mode,
    own_topics,
    too_many_partitions,
)
from app.process.errors import StartError
from app.process.words import counted, listed
from app.settings import KafkaSettings, Settings

SOON = 2 * 3600 * 1000
"""Milliseconds: a topic that keeps its records for less needs a worker that is always there.

OpenWhisk's own setting is one hour.
"""

AT_ONCE = 600 * 1000
"""The same, for a topic that loses records while a worker is started again."""

_LIMITS = ("retention.ms", "max.message.bytes", UNCLEAN)


async def examine_kafka(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the brokers, the rights, the persister's own topics and OpenWhisk's."""
    kafka = settings.kafka
    try:
        await ask(kafka)
    except StartError as error:
        yield Finding("Kafka", State.WRONG, str(error))
        return
    except (KafkaError, OSError) as error:
        yield Finding("Kafka", State.WRONG, f"{kafka.url}: {explain(error, kafka)}")
        return
    yield Finding("Kafka", State.OK, f"{kafka.url} answers")
    specs = needed_topics(kafka)
    try:
        await check_rights(kafka, specs)
        yield Finding(
            "rights in Kafka", State.OK, f"a worker's topics, and the group {kafka.app_id}"
        )
        async with open_admin(kafka) as admin:
            yield await _group(admin, kafka)
            async for finding in _topics(admin, settings, specs):
                yield finding
    except StartError as error:
        yield Finding("rights in Kafka", State.WRONG, str(error))
    except (KafkaError, OSError) as error:
        yield Finding("Kafka", State.WRONG, explain(error, kafka))


async def _topics(
    admin: Admin, settings: Settings, specs: list[TopicSpec]
) -> AsyncIterator[Finding]:
    partitions = await admin.partition_counts()
    replication = settings.kafka.replication
    missing = [spec for spec in specs if spec.name not in partitions]
    refused = await admin.would_refuse(missing, replication)
    for spec in specs:
        if spec.name in partitions:
            yield await examine_own(admin, spec, partitions[spec.name], settings.kafka)
        elif spec.name in refused:
            detail = not_created(spec, replication, refused[spec.name])
            yield Finding(spec.name, State.WRONG, f"missing; {detail}")
        else:
            yield Finding(spec.name, State.OK, "missing; the first worker creates it")
    for finding in log_mode(settings, partitions):
        yield finding
    seen = await _seen(settings)
    for topic in seen.topics:
        if topic in seen.unreadable:
            detail = "it may be seen and not read, so it is left out: grant Read on it"
            yield Finding(topic, State.WRONG, detail)
        else:
            yield await _openwhisk(admin, topic, settings.kafka.max_record_bytes)
    names = TopicNames(settings.kafka.topic_prefix)
    further = sorted({*seen.topics, names.replays, names.workers} & partitions.keys())
    needed = {spec.name for spec in specs} & partitions.keys()
    for finding in [
        *[one async for one in examine_replicas(admin, sorted(needed), further)],
        *further_rights(names, seen.topics, await admin.rights(further)),
    ]:
        yield finding
    for topic in dict.fromkeys(tp.topic for tp in seen.reaches):
        if lost := lost_unread(topic, seen.reaches):
            yield lost


async def examine_replicas(
    admin: Admin, needed: Collection[str], further: Collection[str]
) -> AsyncIterator[Finding]:
    """Topics of which Kafka takes no records, because too few replicas are in sync.

    Args:
        admin: of the cluster.
        needed: topics that a worker must be able to write to.
        further: others that exist.
    """
    replicas = await admin.replicas()
    for topic in (*needed, *further):
        try:
            limits = (await admin.topic_settings([topic], [MIN_IN_SYNC]))[topic]
        except UnreadableSettingsError:  # which is said elsewhere
            continue
        at_least = int(limits.get(MIN_IN_SYNC, 0))
        partitions = replicas.get(topic, {})
        if why := takes_no_records(partitions, at_least):
            yield Finding(topic, State.WRONG if topic in needed else State.WARNING, why)
        elif topic in needed and (why := asks_for_too_many(topic, partitions, at_least)):
            yield Finding(topic, State.WARNING, why)


def further_rights(
    names: TopicNames, topics: Collection[str], rights: Mapping[str, Collection[Right]]
) -> Iterator[Finding]:
    """Rights that a worker can do without.

    Args:
        names: the persister's own topics.
        topics: those of OpenWhisk that are read.
        rights: to these topics, as far as Kafka tells.
    """
    if names.workers in rights and (
        grant := lacking(names.workers, rights[names.workers], *READ_WRITE)
    ):
        detail = f"workers do not all hear one another: grant {grant}"
        yield Finding(names.workers, State.WARNING, detail)
    what = "rights to replay"
    # To find out would begin a transaction, which ends a replay that is under way.
    unseen = f"Describe and Write on the transactional id {names.replays}"
    told = [topic for topic in topics if topic in rights]
    if untold := [topic for topic in topics if topic not in rights]:
        unseen = f"Write on {listed(untold)}; {unseen}"
    grants = [lacking(topic, rights[topic], Right.WRITE) for topic in told]
    if names.replays in rights:
        grants.append(lacking(names.replays, rights[names.replays], *READ_WRITE))
    if missing := [grant for grant in grants if grant]:
        detail = (
            "`dead-letters replay` needs more than this user has: grant "
            f"{listed(missing)}; not looked at: {unseen}"
        )
        yield Finding(what, State.WARNING, detail)
    else:
        seen = f"Write on {listed(told)}; " if told else ""
        yield Finding(what, State.OK, f"{seen}not looked at: {unseen}")


class _Seen(NamedTuple):
    """OpenWhisk's topics, those that may be seen and not read, and how far the group is.

    That in the internal topic, too.
    """

    topics: list[str]
    unreadable: set[str]
    reaches: Mapping[TP, Reach]


async def _seen(settings: Settings) -> _Seen:
    observer = await Observer.connect(settings.kafka)
    try:
        partitions = await observer.topics()
        names = TopicNames(settings.kafka.topic_prefix)
        by_role = names.by_role(partitions, settings.routing.log_mode)
        topics = [topic for found in by_role.values() for topic in found]
        unreadable = {topic for topic in topics if not await observer.may_read(TP(topic, 0))}
        try:
            read = [*topics, *({names.documents} & partitions.keys())]
            reaches = (await observer.look(partitions, read)).partitions
        except KafkaError:  # it may not see the group, which is said elsewhere
            reaches = {}
        return _Seen(topics, unreadable, reaches)
    finally:
        await observer.close()


def lost_unread(topic: str, reaches: Mapping[TP, Reach]) -> Finding | None:
    """What Kafka has deleted of a topic beyond what the group has read of it."""
    lost = sum(
        max(0, reach.start - reach.committed)
        for tp, reach in reaches.items()
        if tp.topic == topic and reach.start is not None and reach.committed is not None
    )
    if not lost:
        return None
    detail = (
        f"{counted(lost, 'record was', 'records were')} deleted by Kafka before a worker read "
        f"them: {after_loss(topic)}"
    )
    return Finding(topic, State.WARNING, detail)


async def _group(admin: Admin, kafka: KafkaSettings) -> Finding:
    what = f"PERSISTER_APP_ID={kafka.app_id}"
    try:
        again = await would_begin_again(admin, kafka, TopicNames(kafka.topic_prefix))
    except KafkaError as error:
        return Finding(what, State.WARNING, f"its offsets cannot be seen: {explain(error, kafka)}")
    if again:
        return Finding(what, State.WARNING, again)
    return Finding(what, State.OK, "goes on where it stopped, or begins a new installation")


def needed_topics(kafka: KafkaSettings) -> list[TopicSpec]:
    """The topics without which no worker starts."""
    return [*own_topics(TopicNames(kafka.topic_prefix), kafka), guard_changelog(kafka)]


async def examine_own(
    admin: Admin, spec: TopicSpec, partitions: int, kafka: KafkaSettings
) -> Finding:
    """Look at a topic of the persister's own."""
    if spec == guard_changelog(kafka):
        return await _examine_changelog(admin, spec, partitions, kafka.topic_prefix)
    fixed = spec.partitions > 1
    if fixed and partitions != spec.partitions:
        advice = f"it has {partitions} partitions: set PERSISTER_PARTITIONS={partitions}"
        return Finding(spec.name, State.WRONG, advice)
    try:
        actual = (await admin.topic_settings([spec.name], list(spec.config)))[spec.name]
    except UnreadableSettingsError as error:
        return Finding(spec.name, State.WARNING, f"its settings cannot be seen: {error}")
    found = shortcomings(spec, actual)
    if found:
        return Finding(spec.name, State.WARNING, "; ".join(found))
    return Finding(
        spec.name, State.OK, f"{counted(partitions, 'partition')}, set up as it should be"
    )


async def _examine_changelog(
    admin: Admin, changelog: TopicSpec, partitions: int, prefix: str
) -> Finding:
    """Look at the guard's changelog, which needs as many partitions as the internal topic has."""
    if partitions > changelog.partitions:
        detail = too_many_partitions(changelog, partitions, TopicNames(prefix).documents)
        return Finding(changelog.name, State.WRONG, detail)
    if partitions == changelog.partitions:
        if loss := await _uncompacted(admin, changelog):
            return Finding(changelog.name, State.WARNING, loss)
        return Finding(changelog.name, State.OK, counted(partitions, "partition"))
    rights = await admin.rights([changelog.name])
    if changelog.name in rights and Right.ALTER not in rights[changelog.name]:
        detail = may_not_grow(changelog, partitions, "this user lacks the right")
        return Finding(changelog.name, State.WRONG, detail)
    grows = f"{counted(partitions, 'partition')}; the next worker gives it {changelog.partitions}"
    return Finding(changelog.name, State.OK, grows)


async def _uncompacted(admin: Admin, changelog: TopicSpec) -> str:
    """What to do about a changelog that Kafka does not compact; empty if it does."""
    key = "cleanup.policy"
    try:
        policy = (await admin.topic_settings([changelog.name], [key]))[changelog.name][key]
    except UnreadableSettingsError:  # a worker does not need the right to see them
        return ""
    if "compact" in policy:
        return ""
    return (
        f"it has {key}={policy}: a start reads entries that are long replaced, and what Kafka "
        f"deletes is asked of the database again; set {key}={changelog.config[key]}"
    )


async def _openwhisk(admin: Admin, topic: str, largest: int) -> Finding:
    try:
        limits = (await admin.topic_settings([topic], _LIMITS))[topic]
    except UnreadableSettingsError as error:
        return Finding(topic, State.WARNING, f"its settings cannot be seen: {error}")
    return judge_limits(topic, limits, largest)


def judge_limits(topic: str, limits: Mapping[str, str], largest: int) -> Finding:
    """What the settings of a topic of OpenWhisk's mean for the worker.

    Args:
        topic: its name.
        limits: `retention.ms`, `max.message.bytes` and `unclean.leader.election.enable`, as Kafka
            has them.
        largest: bytes of the largest record that the worker takes.
    """
    # A topic's limit is for a batch: a record, and what Kafka puts around it.
    if int(limits["max.message.bytes"]) > largest + RECORD_OVERHEAD:
        return Finding(
            topic,
            State.WARNING,
            f"it takes records of {limits['max.message.bytes']} bytes, and the worker of {largest}:"
            " raise PERSISTER_MAX_RECORD_BYTES",
        )
    retention = int(limits["retention.ms"])
    kept = "without end" if retention < 0 else f"for {_span(retention)}"
    short = 0 <= retention < SOON
    note = ": what is not read in that time is lost, so keep a worker running" if short else ""
    at_once = 0 <= retention < AT_ONCE
    if at_once:
        note += ", and raise retention.ms of the topic: a restart takes some of that time"
    unclean = limits.get(UNCLEAN) == "true"
    if unclean:
        note += (
            f"; with {UNCLEAN}=true, Kafka may drop records that were acknowledged, and put others "
            "in their place: those that come while no worker runs may be taken for read. Set it to "
            "false"
        )
    state = State.WARNING if at_once or unclean else State.OK
    return Finding(topic, state, f"read; Kafka keeps its records {kept}{note}")


def _span(millis: int) -> str:
    if millis < SOON // 2:
        return f"{millis / 60_000:.0f} minutes" if millis >= 2 * 60_000 else f"{millis / 1000:g} s"
    return f"{millis / 3_600_000:.1f} h"


def log_mode(settings: Settings, topics: Mapping[str, int]) -> Iterator[Finding]:
    """Whether the topics that exist are those of the log mode.

    Args:
        settings: for prefix and mode.
        topics: all that Kafka shows.
    """
    names, mode = TopicNames(settings.kafka.topic_prefix), settings.routing.log_mode
    read = [name for role in names.by_role(topics, mode).values() for name in role]
    what = f"PERSISTER_LOG_MODE={mode}"
    overlooked = names.overlooked(topics, mode)
    if overlooked:
        detail = f"{' and '.join(overlooked)} is not read. {other_mode(mode)}"
        yield Finding(what, State.WARNING, detail)
    elif not read:
        others = names.elsewhere(topics, mode)
        seen = f"; Kafka has {listed(others)}: {names.would_read(others)}" if others else ""
        detail = f"none is there yet that is read with {what}{seen}"
        yield Finding("topics of OpenWhisk", State.WARNING, detail)
    else:
        yield Finding(what, State.OK, f"reads {', '.join(sorted(read))}")
