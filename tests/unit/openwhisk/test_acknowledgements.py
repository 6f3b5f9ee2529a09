import pytest

from app.kafka.topics import TopicNames
from models.activation import Activation
from models.instances import InvokerInstance
from models.messages import (
    CombinedCompletionAndResultMessage,
    CompletionMessage,
    Message,
    ResultMessage,
)
from models.transid import TransactionId
from models.wire import Version
from openwhisk.acknowledgements import Acknowledgements, shrunk
from openwhisk.publisher import NotAcknowledged
from tests.fakes.publisher import FakePublisher

INVOKER = InvokerInstance(instance=0, user_memory="1024 MB")


@pytest.fixture
def combined(transid: TransactionId, activation: Activation) -> CombinedCompletionAndResultMessage:
    return CombinedCompletionAndResultMessage(
        transid=transid, response=activation, instance=INVOKER, is_system_error=False
    )


async def test_a_blocking_result_travels_whole(
    publisher: FakePublisher, combined: Message, activation: Activation
) -> None:
    acknowledgements = Acknowledgements(publisher, TopicNames("ow-"))
    assert await acknowledgements.send(combined, "controller-a", blocking=True)
    [(topic, message)] = publisher.messages
    assert topic == "ow-completedcontroller-a"
    assert message["response"] == activation.to_wire()


async def test_a_non_blocking_result_is_just_its_id(
    publisher: FakePublisher, combined: Message, activation: Activation
) -> None:
    assert not await Acknowledgements(publisher, TopicNames()).send(combined, "0", blocking=False)
    [(_, message)] = publisher.messages
    assert message["response"] == activation.activation_id
    assert message["isSystemError"] is False


@pytest.mark.parametrize("version", list(Version))
async def test_the_instance_field_is_that_of_the_version(
    publisher: FakePublisher, combined: Message, version: Version
) -> None:
    acknowledgements = Acknowledgements(publisher, TopicNames(), version=version)
    await acknowledgements.send(combined, "0", blocking=True)
    [(_, message)] = publisher.messages
    names = {Version.V2019: "invoker", Version.CURRENT: "instance"}
    assert names[version] in message
    assert len({"invoker", "instance"} & set(message)) == 1


async def test_what_is_too_large_is_shrunk_without_being_tried(
    publisher: FakePublisher, combined: Message, activation: Activation
) -> None:
    acknowledgements = Acknowledgements(publisher, TopicNames(), max_message_bytes=400)
    assert not await acknowledgements.send(combined, "0", blocking=True)
    [(_, message)] = publisher.messages
    assert message["response"] == activation.activation_id


async def test_what_the_broker_refuses_as_too_large_is_shrunk(
    publisher: FakePublisher, combined: Message, activation: Activation
) -> None:
    publisher.largest["completed0"] = 400
    assert not await Acknowledgements(publisher, TopicNames()).send(combined, "0", blocking=True)
    [(_, message)] = publisher.messages
    assert message["response"] == activation.activation_id


async def test_a_completion_carries_no_record(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    completion = CompletionMessage(
        transid=transid, activation_id=activation.activation_id, instance=INVOKER
    )
    acknowledgements = Acknowledgements(publisher, TopicNames())
    assert not await acknowledgements.send(completion, "0", blocking=True)
    assert publisher.topics == ["completed0"]


async def test_kafka_down_is_an_error(publisher: FakePublisher, combined: Message) -> None:
    publisher.down.add("completed0")
    with pytest.raises(NotAcknowledged):
        await Acknowledgements(publisher, TopicNames()).send(combined, "0", blocking=True)


def test_shrinking_twice_changes_nothing(transid: TransactionId, activation: Activation) -> None:
    once = shrunk(ResultMessage(transid=transid, response=activation))
    assert shrunk(once).to_wire() == once.to_wire()
