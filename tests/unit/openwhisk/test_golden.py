"""What store, acknowledgements and invoker write is what OpenWhisk itself wrote."""

import pytest

from app.kafka.topics import TopicNames
from app.settings import LogMode, RoutingSettings
from models import exact_json
from models.activation import Activation
from models.instances import Instance, InvokerInstance
from models.messages import (
    CombinedCompletionAndResultMessage,
    CompletionMessage,
    Message,
    ResultMessage,
)
from openwhisk.acknowledgements import Acknowledgements
from openwhisk.invoker import Invoker
from openwhisk.store import KafkaActivationStore, StoreRole
from tests.fakes.publisher import FakePublisher
from tests.golden import Case, cases
from tests.golden.messages import message_of

STORE_TOPICS = {
    "completed-others": (TopicNames(), LogMode.SEPARATE),
    "completed-non-blocking": (TopicNames(others="completed-non-blocking"), LogMode.SEPARATE),
    "activations": (TopicNames(), LogMode.IN_RECORD),
}
ACKNOWLEDGED = [case for case in cases() if case.topic not in STORE_TOPICS]
STORED = [case for case in cases() if case.topic in STORE_TOPICS and case.kind == "ResultMessage"]


def read(case: Case) -> Message:
    return message_of(exact_json.loads(case.message.decode()))


def same(value: bytes, case: Case) -> bool:
    """Equal JSON; numbers are compared as decimals, so none loses digits."""
    equal: bool = exact_json.loads(value.decode()) == exact_json.loads(case.message.decode())
    return equal


def split(topic: str) -> tuple[str, str]:
    """Prefix and controller in the name of a `completed` topic."""
    prefix, _, controller = topic.partition("completed")
    return prefix, controller


@pytest.mark.parametrize("case", STORED, ids=str)
async def test_the_store_writes_it(publisher: FakePublisher, case: Case) -> None:
    message = read(case)
    assert isinstance(message.response, Activation)
    topics, log_mode = STORE_TOPICS[case.topic]
    controllers = message.response.lists_steps or not message.response.annotations
    role = StoreRole.CONTROLLER if controllers else StoreRole.INVOKER
    store = KafkaActivationStore(
        publisher, role, log_mode, topics, rules=RoutingSettings(), version=case.version
    )
    assert await store.store(message.transid, message.response, blocking=False)
    [(topic, value)] = publisher.records
    assert topic == case.topic
    assert same(value, case)


@pytest.mark.parametrize("case", ACKNOWLEDGED, ids=str)
async def test_the_acknowledgement_is_sent_as_it_is(publisher: FakePublisher, case: Case) -> None:
    prefix, controller = split(case.topic)
    acknowledgements = Acknowledgements(publisher, TopicNames(prefix), version=case.version)
    await acknowledgements.send(read(case), controller, blocking=True)
    [(topic, value)] = publisher.records
    assert topic == case.topic
    assert same(value, case)


def by_the_flow(case: Case) -> bool:
    """Leave out what no flow of an invoker makes: a message without `isSystemError`, and the
    result of a non-blocking activation, which is shrunk only to be on the safe side."""
    message = read(case)
    if isinstance(message, ResultMessage):
        return isinstance(message.response, Activation)
    return message.is_system_error is not None


@pytest.mark.parametrize("case", [case for case in ACKNOWLEDGED if by_the_flow(case)], ids=str)
async def test_the_invoker_sends_it(
    publisher: FakePublisher, activation: Activation, case: Case
) -> None:
    message = read(case)
    prefix, controller = split(case.topic)
    sender = invoker(publisher, case, message, prefix)
    record, blocking = activity(message, activation)
    if isinstance(message, CombinedCompletionAndResultMessage) and not blocking:
        await sender.could_not_run(message.transid, record, blocking=False, controller=controller)
    else:
        await sender.ran(
            message.transid, record, blocking=blocking, controller=controller, collect_logs=no_logs
        )
    topic, value = publisher.records[0]
    assert topic == case.topic
    assert same(value, case)


def invoker(publisher: FakePublisher, case: Case, message: Message, prefix: str) -> Invoker:
    """One in the setup in which this message is sent."""
    instance: Instance = InvokerInstance(instance=0, user_memory="1024 MB")
    log_mode = LogMode.IN_RECORD
    if not isinstance(message, ResultMessage):
        instance, log_mode = message.instance, LogMode.SEPARATE
    topics = TopicNames(prefix)
    store = KafkaActivationStore(
        publisher,
        StoreRole.INVOKER,
        log_mode,
        topics,
        rules=RoutingSettings(),
        version=case.version,
    )
    acknowledgements = Acknowledgements(publisher, topics, version=case.version)
    return Invoker(instance, acknowledgements, store, log_mode)


def activity(message: Message, activation: Activation) -> tuple[Activation, bool]:
    """The record of which this message is sent, and whether it is a blocking one."""
    if isinstance(message, CompletionMessage):
        activation_id = message.activation_id
    elif isinstance(message.response, Activation):
        return message.response, True
    else:
        activation_id = message.response
    system_error = not isinstance(message, ResultMessage) and message.is_system_error
    response = activation.response.derive(status_code=3 if system_error else 0)
    return activation.derive(activation_id=activation_id, response=response), False


async def no_logs() -> list[str]:
    return []
