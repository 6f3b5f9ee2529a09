from typing import Any

import pytest

from app.kafka.topics import TopicNames
from app.settings import LogMode, RoutingSettings
from models.activation import Activation
from models.instances import InvokerInstance
from models.transid import TransactionId
from openwhisk.acknowledgements import Acknowledgements
from openwhisk.invoker import LOGS_MISSING, Invoker
from openwhisk.publisher import NotAcknowledged
from openwhisk.store import InvokerRecords, KafkaActivationStore, NotStored, StoreRole
from tests.fakes.publisher import FakePublisher

LINES = ["2026-01-02T03:04:05.678901234Z stdout: one"]


def invoker(
    publisher: FakePublisher,
    log_mode: LogMode = LogMode.SEPARATE,
    records: InvokerRecords = InvokerRecords.UNCARRIED,
) -> Invoker:
    store = KafkaActivationStore(
        publisher,
        StoreRole.INVOKER,
        log_mode,
        TopicNames(),
        rules=RoutingSettings(),
        invoker_records=records,
    )
    instance = InvokerInstance(instance=0, user_memory="1024 MB")
    return Invoker(instance, Acknowledgements(publisher, TopicNames()), store, log_mode)


def kinds(publisher: FakePublisher) -> list[tuple[str, str]]:
    return [(topic, kind(message)) for topic, message in publisher.messages]


def kind(message: dict[str, Any]) -> str:
    if "activationId" in message:
        return "completion"
    held = "record" if isinstance(message["response"], dict) else "id"
    return f"combined {held}" if "instance" in message else f"result {held}"


async def lines() -> list[str]:
    return LINES


async def run(
    runs: Invoker, transid: TransactionId, activation: Activation, *, blocking: bool
) -> None:
    await runs.ran(transid, activation, blocking=blocking, controller="0", collect_logs=lines)


COMBINED = ("completed0", "combined record")
COMPLETION = ("completed0", "completion")
OTHERS = ("completed-others", "result record")


@pytest.mark.parametrize(
    "log_mode, records, blocking, sent",
    [
        (LogMode.SEPARATE, InvokerRecords.UNCARRIED, True, [COMBINED]),
        (LogMode.SEPARATE, InvokerRecords.UNCARRIED, False, [COMPLETION, OTHERS]),
        (LogMode.SEPARATE, InvokerRecords.ALL, True, [COMBINED, OTHERS]),
        (LogMode.SEPARATE, InvokerRecords.ALL, False, [COMPLETION, OTHERS]),
        (
            LogMode.IN_RECORD,
            InvokerRecords.UNCARRIED,
            True,
            [("completed0", "result record"), COMPLETION, ("activations", "result record")],
        ),
        (
            LogMode.IN_RECORD,
            InvokerRecords.UNCARRIED,
            False,
            [COMPLETION, ("activations", "result record")],
        ),
    ],
)
async def test_sends_what_the_setup_asks_for_in_this_order(
    publisher: FakePublisher,
    transid: TransactionId,
    activation: Activation,
    log_mode: LogMode,
    records: InvokerRecords,
    blocking: bool,  # noqa: FBT001 - a parameter of the cases
    sent: list[tuple[str, str]],
) -> None:
    await run(invoker(publisher, log_mode, records), transid, activation, blocking=blocking)
    assert kinds(publisher) == sent


async def test_logs_are_in_the_stored_record_only(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    await run(invoker(publisher, LogMode.IN_RECORD), transid, activation, blocking=True)
    result, _, stored = (message for _, message in publisher.messages)
    assert result["response"]["logs"] == []
    assert stored["response"] == activation.derive(logs=LINES).to_wire()


async def test_the_result_does_not_wait_for_the_logs(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    sent_before: list[tuple[str, str]] = []

    async def slow_lines() -> list[str]:
        sent_before.extend(kinds(publisher))
        return LINES

    await invoker(publisher, LogMode.IN_RECORD).ran(
        transid, activation, blocking=True, controller="0", collect_logs=slow_lines
    )
    assert sent_before == [("completed0", "result record")]


async def test_a_record_whose_logs_cannot_be_read_is_stored_and_says_so(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    async def broken_lines() -> list[str]:
        raise OSError("the container is gone")

    await invoker(publisher, LogMode.IN_RECORD).ran(
        transid, activation, blocking=False, controller="0", collect_logs=broken_lines
    )
    assert publisher.messages[-1][1]["response"]["logs"] == [LOGS_MISSING]


async def test_a_record_too_large_for_its_acknowledgement_reaches_the_store(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    publisher.largest["completed0"] = 400
    await run(invoker(publisher), transid, activation, blocking=True)
    assert kinds(publisher) == [("completed0", "combined id"), OTHERS]
    assert publisher.messages[1][1]["response"] == activation.to_wire()


async def test_a_record_whose_acknowledgement_failed_reaches_the_store_and_is_an_error(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    publisher.down.add("completed0")
    with pytest.raises(ExceptionGroup) as raised:
        await run(invoker(publisher), transid, activation, blocking=True)
    assert raised.group_contains(NotAcknowledged)
    assert kinds(publisher) == [OTHERS]


async def test_a_store_that_failed_is_an_error_and_the_acknowledgement_is_sent(
    publisher: FakePublisher, transid: TransactionId, activation: Activation
) -> None:
    publisher.down.add("activations")
    with pytest.raises(ExceptionGroup) as raised:
        await run(invoker(publisher, LogMode.IN_RECORD), transid, activation, blocking=True)
    assert raised.group_contains(NotStored)
    assert kinds(publisher) == [("completed0", "result record"), COMPLETION]


@pytest.mark.parametrize(
    "blocking, sent",
    [(True, [COMBINED]), (False, [("completed0", "combined id"), OTHERS])],
)
async def test_an_activation_that_could_not_run_is_combined(
    publisher: FakePublisher,
    transid: TransactionId,
    activation: Activation,
    blocking: bool,  # noqa: FBT001
    sent: list[tuple[str, str]],
) -> None:
    failure = activation.derive(response=activation.response.derive(status_code=3))
    await invoker(publisher).could_not_run(transid, failure, blocking=blocking, controller="0")
    assert kinds(publisher) == sent
    assert publisher.messages[0][1]["isSystemError"] is True
