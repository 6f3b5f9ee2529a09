"""What an invoker sends once an action has run (`ContainerProxy`, `InvokerReactive`)."""

import logging
from collections.abc import Awaitable, Callable

from app.settings import LogMode
from models.activation import Activation
from models.instances import Instance
from models.messages import (
    CombinedCompletionAndResultMessage,
    CompletionMessage,
    Message,
    ResultMessage,
)
from models.transid import TransactionId
from openwhisk.acknowledgements import Acknowledgements
from openwhisk.publisher import PublishError
from openwhisk.store import KafkaActivationStore, NotStored

logger = logging.getLogger(__name__)

CollectLogs = Callable[[], Awaitable[list[str]]]
"""Reads the log lines of an activation from its container."""

WHISK_ERROR = 3
"""The status code of OpenWhisk's own errors, which acknowledgements call system errors."""


LOGS_MISSING = "There was an issue while collecting your logs. Data might be missing."
"""The log line of a record whose logs cannot be read; OpenWhisk's `Messages.logFailure`."""


class Invoker:
    """Acknowledges activations, and stores records that no acknowledgement carries.

    If one part fails, the rest is still done: a failed acknowledgement may have been the only
    message with the record, so the record then goes to the store.

    Args:
        instance: the invoker that acknowledges.
        acknowledgements: sends acknowledgements to the controllers.
        store: the invoker's activation store.
        log_mode: whether logs are collected into the record.
    """

    def __init__(
        self,
        instance: Instance,
        acknowledgements: Acknowledgements,
        store: KafkaActivationStore,
        log_mode: LogMode,
    ) -> None:
        self._instance = instance
        self._acknowledgements = acknowledgements
        self._store = store
        self._log_mode = log_mode

    async def ran(
        self,
        transid: TransactionId,
        activation: Activation,
        *,
        blocking: bool,
        controller: str,
        collect_logs: CollectLogs,
    ) -> None:
        """Acknowledge and store an activation that ran in a container.

        Args:
            transid: the request's transaction id.
            activation: the record without logs.
            blocking: whether the controller waits for the result.
            controller: the controller's name in its topic.
            collect_logs: awaited only if logs are kept inside the record.

        Raises:
            ExceptionGroup: of `PublishError` and `NotStored`, if Kafka did not take everything.
        """
        outcome = _Sending(self._acknowledgements, controller, blocking=blocking)
        if self._log_mode is LogMode.SEPARATE:
            message: Message = (
                self._combined(transid, activation)
                if blocking
                else self._completion(transid, activation)
            )
            await outcome.send(message)
            await self._keep(outcome, transid, activation)
        else:
            if blocking:
                await outcome.send(ResultMessage(transid=transid, response=activation))
            complete = activation.derive(logs=await _collected(collect_logs))
            await outcome.send(self._completion(transid, complete))
            await self._keep(outcome, transid, complete)
        outcome.finish()

    async def could_not_run(
        self, transid: TransactionId, activation: Activation, *, blocking: bool, controller: str
    ) -> None:
        """Acknowledge and store an activation that never reached a container, so it has no logs.

        Raises:
            ExceptionGroup: of `PublishError` and `NotStored`, if Kafka did not take everything.
        """
        outcome = _Sending(self._acknowledgements, controller, blocking=blocking)
        await outcome.send(self._combined(transid, activation))
        await self._keep(outcome, transid, activation)
        outcome.finish()

    async def _keep(
        self, outcome: "_Sending", transid: TransactionId, activation: Activation
    ) -> None:
        try:
            await self._store.store(
                transid, activation, blocking=outcome.blocking, carried=outcome.carried
            )
        except NotStored as error:
            outcome.problems.append(error)

    def _combined(
        self, transid: TransactionId, activation: Activation
    ) -> CombinedCompletionAndResultMessage:
        return CombinedCompletionAndResultMessage(
            transid=transid,
            response=activation,
            instance=self._instance,
            is_system_error=activation.response.status_code == WHISK_ERROR,
        )

    def _completion(self, transid: TransactionId, activation: Activation) -> CompletionMessage:
        return CompletionMessage(
            transid=transid,
            activation_id=activation.activation_id,
            instance=self._instance,
            is_system_error=activation.response.status_code == WHISK_ERROR,
        )


async def _collected(collect_logs: CollectLogs) -> list[str]:
    try:
        return await collect_logs()
    except Exception as error:  # noqa: BLE001 - whatever it is, the record has to be stored
        kind = type(error).__name__
        logger.warning("The logs of an activation can't be read (%s); it is stored without", kind)
        return [LOGS_MISSING]


class _Sending:
    """The progress of sending one activation's messages."""

    def __init__(
        self, acknowledgements: Acknowledgements, controller: str, *, blocking: bool
    ) -> None:
        self.blocking = blocking
        self.carried = False
        self.problems: list[Exception] = []
        self._acknowledgements = acknowledgements
        self._controller = controller

    async def send(self, message: Message) -> None:
        try:
            if await self._acknowledgements.send(message, self._controller, blocking=self.blocking):
                self.carried = True
        except PublishError as error:
            self.problems.append(error)

    def finish(self) -> None:
        if self.problems:
            raise ExceptionGroup("Kafka did not take everything of an activation", self.problems)
