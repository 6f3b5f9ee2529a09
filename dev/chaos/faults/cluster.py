"""Kafka comes back elsewhere, without its data, or with other ideas of who may join."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import InconsistentGroupProtocolError

from app.kafka.clients import client_options
from dev.chaos.crew import Exit
from dev.chaos.fault import Fault, Kind
from dev.chaos.stage import Stage

REFUSED_SECONDS = 60.0
"""Within which a refused worker must end: a join may wait for dead members first."""

TOLD_SECONDS = 60.0
"""Within which a worker must say why it waits."""


async def moved(stage: Stage) -> None:
    """It comes back at other addresses behind the same name, under load."""
    with stage.watch.standstill():
        await stage.kafka.stop()
        await asyncio.sleep(stage.random.uniform(0, 2 * stage.session))
        await stage.kafka.move(stage.surrounding.broker)


async def moved_at_the_end(stage: Stage) -> None:
    """The same, and nothing comes afterwards."""
    with stage.flow.paused():
        with stage.watch.standstill():
            await stage.kafka.kill()
            await stage.kafka.move(stage.surrounding.broker)
        await stage.all_is_stored()


async def empty(stage: Stage) -> None:
    """It comes back without its data, once everything was stored; OpenWhisk makes its topics."""
    with stage.flow.paused():
        await stage.all_is_stored()
        await stage.keep_letters()
        with stage.watch.standstill():
            await stage.kafka.kill()
            stage.watch.movement.begins_anew([*stage.topics, stage.names.documents])
            await stage.kafka.empty(stage.surrounding.broker)
            await stage.flow.reconnect()
            exits = len(stage.crew.exits)
            # That the topics are gone; or, while the new broker has not loaded who may do what,
            # that the group is refused.
            await _ended(stage, exits, len(stage.crew.wanted), "Ending the worker")


async def session_refused(stage: Stage) -> None:
    """Brokers take no session as short as the workers', and one of these has to join."""
    longer = str(int(2 * stage.session * 1000))
    with stage.watch.standstill():
        await stage.kafka.stop()
        await stage.kafka.move({**stage.surrounding.broker, "group.min.session.timeout.ms": longer})
        exits = len(stage.crew.exits)
        await stage.crew.kill(stage.random.choice(stage.crew.wanted))
        await _ended(stage, exits, 1, "PERSISTER_SESSION_TIMEOUT")
        await stage.kafka.stop()
        await stage.kafka.move(stage.surrounding.broker)


async def foreign_member(stage: Stage) -> None:
    """Another application's member holds the group when the workers come."""
    members = list(stage.crew.wanted)
    with stage.watch.standstill():
        await asyncio.gather(*(stage.crew.retire(member) for member in members))
        other = await _other_application(stage)
        try:
            told = [member.worker.log().count("another application") for member in members]
            for member in members:
                await stage.crew.resume(member)
            deadline = time.monotonic() + TOLD_SECONDS
            while not all(
                member.worker.log().count("another application") > before
                for member, before in zip(members, told, strict=True)
            ):
                if time.monotonic() > deadline:
                    stage.findings.append("not every worker says that it waits for another one")
                    break
                await asyncio.sleep(0.5)
        finally:
            await other.stop()


async def _other_application(stage: Stage) -> AIOKafkaConsumer:
    """A member of another application, once the group has none of the workers any more.

    A worker that ended before it knew its member id cannot leave: Kafka counts it until its session
    is over.
    """
    deadline = time.monotonic() + REFUSED_SECONDS
    while True:
        other = AIOKafkaConsumer(
            stage.topics[0],
            **client_options(stage.kafka_settings),
            group_id=stage.group,
            enable_auto_commit=False,
        )
        try:
            await other.start()
        except InconsistentGroupProtocolError:
            await other.stop()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return other


async def _ended(stage: Stage, exits: int, count: int, why: str) -> None:
    """Wait until so many workers have ended with a message."""
    deadline = time.monotonic() + REFUSED_SECONDS
    while len(ended := _naming(stage.crew.exits[exits:], why)) < count:
        if time.monotonic() > deadline:
            stage.findings.append(f"{len(ended)} of {count} workers ended and said {why!r}")
            return
        await asyncio.sleep(0.2)


def _naming(exits: list[Exit], why: str) -> set[int]:
    return {end.number for end in exits if why in end.log and end.code == 1}


FAULTS = (
    Fault(
        "cluster-moved",
        Kind.CLUSTER,
        "every client finds it again",
        moved,
        recovery=40.0,
    ),
    Fault(
        "cluster-moved-at-the-end",
        Kind.CLUSTER,
        "the same, and everything is stored although nothing more comes",
        moved_at_the_end,
        recovery=40.0,
    ),
    Fault(
        "cluster-empty",
        Kind.CLUSTER,
        "workers end, saying that their topics are gone, and the next start makes them again",
        empty,
        recovery=40.0,
        may_exit=True,
    ),
    Fault(
        "session-refused",
        Kind.CLUSTER,
        "a worker that may not join ends and names the setting",
        session_refused,
        recovery=40.0,
        may_exit=True,
    ),
    Fault(
        "foreign-member",
        Kind.CLUSTER,
        "workers say that another application's member is in the way, and join once it has left",
        foreign_member,
        recovery=40.0,
    ),
)
