"""The messages, against what OpenWhisk itself wrote."""

import json

import pytest

from models.activation import ActivationResponse
from models.fields import NULL
from models.instances import ControllerInstance, InvokerInstance, SchedulerInstance
from models.messages import CompletionMessage, encode
from models.transid import TransactionId
from models.wire import Version
from tests.golden import Case, cases
from tests.golden.messages import message_of

TRANSID = TransactionId(id="t", start=1)
INVOKER = InvokerInstance(instance=0, user_memory="1024 MB")
ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_golden_message_is_read_and_written_again(case: Case) -> None:
    fields = json.loads(case.message)

    message = message_of(fields)

    assert type(message).__name__ == case.kind
    assert message.to_wire(case.version) == fields
    assert json.loads(encode(message, case.version)) == fields


def test_each_version_has_its_own_instance_field() -> None:
    message = CompletionMessage(transid=TRANSID, activation_id=ID, instance=INVOKER)

    assert message.to_wire(Version.V2019)["invoker"] == {"instance": 0, "userMemory": "1024 MB"}
    assert message.to_wire(Version.CURRENT)["instance"] == {
        "instance": 0,
        "userMemory": "1024 MB",
        "instanceType": "invoker",
        "tags": [],
        "dedicatedNamespaces": [],
    }


@pytest.mark.parametrize("instance", [ControllerInstance(name="0"), SchedulerInstance(name="0")])
def test_only_invokers_acknowledged_in_2019(
    instance: ControllerInstance | SchedulerInstance,
) -> None:
    message = CompletionMessage(transid=TRANSID, activation_id=ID, instance=instance)

    assert message_of(message.to_wire()) == message
    with pytest.raises(ValueError, match="2019"):
        message.to_wire(Version.V2019)


def test_a_result_that_is_null_is_told_from_none() -> None:
    absent = ActivationResponse.from_wire({"statusCode": 0})
    null = ActivationResponse.from_wire({"statusCode": 0, "result": None})

    assert absent.result is None
    assert null.result is NULL
    assert absent.to_wire() == {"statusCode": 0}
    assert null.to_wire() == {"statusCode": 0, "result": None}
