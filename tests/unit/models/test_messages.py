"""The messages, against what OpenWhisk itself wrote."""

import json

import pytest

from models.activation import ActivationResponse
from models.fields import NULL, FieldError, RecordError
from models.instances import ControllerInstance, InvokerInstance, SchedulerInstance
from models.messages import (
    CompletionMessage,
    ResultMessage,
    encode,
    message_from_wire,
)
from models.transid import TransactionId
from models.wire import Version
from tests.golden import Case, cases

TRANSID = TransactionId(id="t", start=1)
INVOKER = InvokerInstance(instance=0, user_memory="1024 MB")
ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_golden_message_is_read_and_written_again(case: Case) -> None:
    fields = json.loads(case.message)

    message = message_from_wire(fields)

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

    assert message_from_wire(message.to_wire()) == message
    with pytest.raises(ValueError, match="2019"):
        message.to_wire(Version.V2019)


def test_a_response_may_be_only_the_id() -> None:
    message = ResultMessage(transid=TRANSID, response=ID)

    assert message_from_wire(message.to_wire()) == message


def test_a_result_that_is_null_is_told_from_none() -> None:
    absent = ActivationResponse.from_wire({"statusCode": 0})
    null = ActivationResponse.from_wire({"statusCode": 0, "result": None})

    assert absent.result is None
    assert null.result is NULL
    assert absent.to_wire() == {"statusCode": 0}
    assert null.to_wire() == {"statusCode": 0, "result": None}


def test_errors_in_the_record_are_told_from_errors_around_it() -> None:
    with pytest.raises(RecordError, match=r"^namespace is missing$"):
        message_from_wire({"transid": ["t", 1], "response": {}})
    with pytest.raises(FieldError, match=r"^transid is missing$") as around:
        message_from_wire({"response": {}})
    assert not isinstance(around.value, RecordError)
