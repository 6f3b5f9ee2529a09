"""A broker that lies, or somebody between: no traceback, no minute of silence, no belief."""

import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest

from tests.integration.support.commands import Commands
from tests.integration.support.deployment import Deployment
from tests.integration.support.kafka import Producer
from tests.integration.support.liar import Lie, announced, changed, liar, overwritten
from tests.integration.support.records import Records
from tests.integration.support.waiting import outcomes, until

SOON = 20
"""Seconds within which a worker goes on once the broker is honest again; it takes two."""

OFTEN = 100
"""Fetches in a second, at most, that are answered with nothing at once; there were 1,800."""


def each_partition(change: Callable[[list[Any]], object]) -> Lie:
    """The broker's answer with other fields of each partition."""

    def lie(fields: tuple[Any, ...]) -> tuple[Any, ...]:
        changing = list(fields)
        change(changing)
        return tuple(changing)

    def of_all(answer: Any) -> None:
        answer.topics = [(topic, [lie(one) for one in all_]) for topic, all_ in answer.topics]

    return changed(of_all)


def nowhere(answer: Any) -> None:
    answer.brokers = [(node, "\x1b[2J" * 80, 70_000, rack) for node, _, _, rack in answer.brokers]


def unreadable(answer: Any) -> None:
    answer.member_assignment = b"\xff" * 40


ABOUT_RECORDS: list[tuple[type[Any], Lie]] = [
    (ProduceRequest, announced(-5)),
    (ProduceRequest, each_partition(lambda fields: fields.__setitem__(0, 134))),
    (FetchRequest, announced(2**31 - 1)),
    (FetchRequest, overwritten(0)),
]

IN_A_REBALANCE: list[tuple[type[Any], Lie]] = [
    (OffsetRequest, each_partition(lambda fields: fields.__setitem__(-1, -2))),
    (MetadataRequest, changed(nowhere)),
    (SyncGroupRequest, changed(unreadable)),
]


async def test_a_broker_that_lies_costs_seconds_and_is_not_believed(
    deployment: Deployment, kafka: Producer
) -> None:
    topic, records = await deployment.topic("completed0"), Records(5)
    async with liar(deployment.kafka_url) as broker:
        running = await deployment.worker(partitions=1, kafka_url=broker.url)

        async def told() -> bool:
            return broker.told.total() > 1

        for number, (request, lie) in enumerate([*ABOUT_RECORDS, *IN_A_REBALANCE]):
            broker.tell({request: lie})
            began = time.monotonic()
            sent = records.many(3)
            await kafka.records(topic, sent)
            if number >= len(ABOUT_RECORDS):
                await deployment.topic(f"completed{number}")
            if request is MetadataRequest:
                broker.disconnect()
            await until(told, f"lies of {request.__name__}")
            assert broker.told.total() < OFTEN * max(1.0, time.monotonic() - began)
            broker.tell({})
            await until(
                lambda sent=sent: deployment.all_stored(sent),  # type: ignore[misc]
                f"stored after lies of {request.__name__}",
                within=SOON,
            )
        await outcomes(running)
        log = running.log()
    assert "Traceback" not in log
    assert "\x1b" not in log


def without_controller(answer: Any) -> None:
    answer.controller_id = -1


def about_nothing(answer: Any) -> None:
    answer.resources = []


def forbidden(fields: list[Any]) -> None:
    fields[1] = TopicAuthorizationFailedError.errno


LIST, SETUP = ("dead-letters", "list"), ("setup",)
TO_COMMANDS: list[tuple[type[Any], Lie, tuple[str, ...], int, str]] = [
    (MetadataRequest, changed(without_controller), SETUP, 1, "the cluster has no controller"),
    (MetadataRequest, announced(2**31 - 1), LIST, 2, "announces an answer of 2147483647 bytes"),
    (MetadataRequest, overwritten(255), ("audit",), 2, "brokers is null"),
    (DescribeConfigsRequest, changed(about_nothing), ("setup", "--check"), 1, "something else"),
    (OffsetRequest, each_partition(forbidden), LIST, 2, "dead-letters: grant Describe and Read"),
    (OffsetFetchRequest, announced(-5), ("audit",), 2, "announces an answer of -5 bytes"),
]


async def test_a_command_that_is_lied_to_says_so_in_one_line(
    deployment: Deployment, kafka: Producer, couchdb_url: str, database: str
) -> None:
    await kafka.send(await deployment.topic("completed0"), b"junk")
    async with liar(deployment.kafka_url) as broker:
        commands = Commands(
            broker.url,
            couchdb_url,
            topic_prefix=deployment.prefix,
            app_id=deployment.group,
            database=database,
            partitions=1,
        )
        for request, lie, arguments, code, why in TO_COMMANDS:
            broker.tell({request: lie})
            ran = await commands.run(*arguments)
            said = ran.errors if code == 2 else ran.output
            assert (ran.code, why in said) == (code, True), ran
            assert "Traceback" not in ran.errors
            assert len(ran.errors.splitlines()) <= 1, ran.errors
            if arguments == SETUP:
                broker.tell({})
                assert (await commands.run(*SETUP)).code == 0
