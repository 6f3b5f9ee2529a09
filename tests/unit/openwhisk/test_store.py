from typing import Any

import pytest

from app.kafka.topics import TopicNames, store_topic
from app.settings import KafkaSettings, LogMode, RoutingSettings, StoreLevel
from models.activation import Activation
from models.transid import TransactionId
from openwhisk.publisher import PublishError
from openwhisk.store import InvokerRecords, KafkaActivationStore, NotStored, StoreRole
from tests.fakes.publisher import FakePublisher

EVERYTHING = RoutingSettings()


def store(
    publisher: FakePublisher,
    role: StoreRole = StoreRole.CONTROLLER,
    log_mode: LogMode = LogMode.SEPARATE,
    topics: TopicNames | None = None,
    **options: Any,
) -> KafkaActivationStore:
    options.setdefault("rules", EVERYTHING)
    return KafkaActivationStore(publisher, role, log_mode, topics or TopicNames(), **options)


def failed(activation: Activation, status_code: int) -> Activation:
    response = activation.response.derive(status_code=status_code)
    changed: Activation = activation.derive(response=response)
    return changed


@pytest.mark.parametrize(
    "topics, log_mode, topic",
    [
        (TopicNames(), LogMode.SEPARATE, "completed-others"),
        (TopicNames("ow-"), LogMode.SEPARATE, "ow-completed-others"),
        (TopicNames(others="completed-non-blocking"), LogMode.SEPARATE, "completed-non-blocking"),
        (TopicNames("ow-"), LogMode.IN_RECORD, "ow-activations"),
    ],
)
async def test_sends_a_result_message_to_the_topic_of_its_setup(
    publisher: FakePublisher,
    transid: TransactionId,
    activation: Activation,
    topics: TopicNames,
    log_mode: LogMode,
    topic: str,
) -> None:
    written = await store(publisher, log_mode=log_mode, topics=topics).store(
        transid, activation, blocking=False
    )
    assert written
    message = {"transid": [transid.id, transid.start], "response": activation.to_wire()}
    assert publisher.messages == [(topic, message)]


@pytest.mark.parametrize(
    "blocking_level, non_blocking_level, status_code, blocking, written",
    [
        ("STORE_ALWAYS", "STORE_FAILURES", 0, True, True),
        ("STORE_ALWAYS", "STORE_FAILURES", 0, False, False),
        ("STORE_FAILURES", "STORE_ALWAYS", 0, True, False),
        ("STORE_FAILURES", "STORE_ALWAYS", 1, True, True),
        ("STORE_FAILURES_NOT_APPLICATION_ERRORS", "STORE_ALWAYS", 1, True, False),
        ("STORE_FAILURES_NOT_APPLICATION_ERRORS", "STORE_ALWAYS", 2, True, True),
    ],
)
async def test_applies_the_store_level_for_blocking_or_non_blocking(
    publisher: FakePublisher,
    transid: TransactionId,
    activation: Activation,
    blocking_level: str,
    non_blocking_level: str,
    status_code: int,
    blocking: bool,  # noqa: FBT001 - a parameter of the cases
    written: bool,  # noqa: FBT001
) -> None:
    rules = RoutingSettings(
        blocking_store_level=StoreLevel(blocking_level),
        non_blocking_store_level=StoreLevel(non_blocking_level),
    )
    answer = await store(publisher, rules=rules).store(
        transid, failed(activation, status_code), blocking=blocking
    )
    assert answer is written
    assert bool(publisher.records) is written


async def test_extra_logging_overrides_the_level_but_no_exclusion(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    rules = RoutingSettings(
        non_blocking_store_level=StoreLevel.STORE_FAILURES, excluded_namespaces=frozenset({"out"})
    )
    keeps = store(publisher, rules=rules)
    logged = transid.derive(extra_logging=True)
    assert await keeps.store(logged, activation, blocking=False)
    assert not await keeps.store(logged, activation.derive(namespace="out"), blocking=False)
    assert [message["transid"][2] for _, message in publisher.messages] == [True]


@pytest.mark.parametrize(
    "role, log_mode, records, written",
    [
        (StoreRole.INVOKER, LogMode.SEPARATE, InvokerRecords.UNCARRIED, False),
        (StoreRole.INVOKER, LogMode.SEPARATE, InvokerRecords.ALL, True),
        (StoreRole.INVOKER, LogMode.IN_RECORD, InvokerRecords.UNCARRIED, True),
        (StoreRole.CONTROLLER, LogMode.SEPARATE, InvokerRecords.UNCARRIED, True),
    ],
)
async def test_an_invoker_stores_nothing_twice_unless_it_stores_everything(
    publisher: FakePublisher,
    transid: TransactionId,
    activation: Activation,
    role: StoreRole,
    log_mode: LogMode,
    records: InvokerRecords,
    written: bool,  # noqa: FBT001
) -> None:
    keeps = store(publisher, role, log_mode, invoker_records=records)
    assert await keeps.store(transid, activation, blocking=True, carried=True) is written
    assert bool(publisher.records) is written


async def test_a_record_that_kafka_does_not_take_is_an_error_with_the_reason(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    publisher.largest["completed-others"] = 10
    with pytest.raises(NotStored, match=f"{activation.activation_id}: completed-others takes no"):
        await store(publisher).store(transid, activation, blocking=False)
    publisher.down.add("completed-others")
    with pytest.raises(NotStored, match="completed-others is down"):
        await store(publisher).store(transid, activation, blocking=False)


async def test_a_record_that_is_not_unicode_is_an_error_that_does_not_show_it(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    secret = activation.response.derive(result={"password": "sesame\ud800"})
    with pytest.raises(NotStored, match="can't be written as JSON") as raised:
        await store(publisher).store(transid, activation.derive(response=secret), blocking=False)
    cause = raised.value.__cause__
    assert isinstance(cause, PublishError)
    assert cause.__cause__ is None
    assert cause.__suppress_context__
    assert "sesame" not in f"{raised.value}{cause}"


class Primary:
    def __init__(self, publisher: FakePublisher, problem: Exception | None = None) -> None:
        self.stored: list[tuple[str, int]] = []
        self._publisher = publisher
        self._problem = problem

    async def store(self, transid: TransactionId, activation: Activation) -> None:
        assert transid.id
        if self._problem:
            raise self._problem
        self.stored.append((activation.document_id, len(self._publisher.records)))


async def test_the_primary_store_is_written_after_kafka(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    primary = Primary(publisher)
    keeps = store(publisher, primary=primary)
    await keeps.store(transid, activation, blocking=False)
    publisher.down.add("completed-others")
    with pytest.raises(NotStored):
        await keeps.store(transid, activation, blocking=False)
    assert primary.stored == [(activation.document_id, 1)]


async def test_a_primary_store_that_fails_is_an_error(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    primary = Primary(publisher, OSError("no route"))
    with pytest.raises(NotStored, match="is on Kafka, but the primary store failed: no route"):
        await store(publisher, primary=primary).store(transid, activation, blocking=False)


def test_the_topic_has_room_for_the_largest_record() -> None:
    config = store_topic("topic", KafkaSettings(max_record_bytes=2 * 1024 * 1024)).config
    assert int(config["max.message.bytes"]) > 2 * 1024 * 1024
    assert config["retention.ms"] == "3600000"
