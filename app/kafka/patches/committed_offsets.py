"""Reads committed offsets as they are meant: "not yet" is no "never", and no offset is below zero.

A broker that has just become the coordinator answers a question for committed offsets with one
error for the whole answer and no partitions. aiokafka 0.14 looks at the errors of partitions alone
and takes that for "nothing was ever committed": the worker would start at the beginning of every
log and commit that, and days of records would be read again.

And any member of a group may commit any number: Kafka 4.1 keeps it. aiokafka takes -1 for "nothing
was committed", and -5 for a place to read from.

Neither is reported of aiokafka; confluentinc/librdkafka#5586 is what the same answer does there.

- Symptom: `GroupCoordinator.fetch_committed_offsets` and `AIOKafkaAdminClient.
  list_consumer_group_offsets` return nothing, and raise nothing, while the coordinator loads.
- Reproduction: answer an OffsetFetchRequest (version 2 or later) with `error_code` 14 and no
  topics, as a broker does for some seconds after it was started with many groups.
- Mend: in both, `for_code(response.error_code)` before the loop over the partitions; retry on
  GroupLoadInProgress, look the coordinator up again on NotCoordinator.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.consumer.group_coordinator import UNKNOWN_OFFSET
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

Send = Callable[[Any], Awaitable[Any]]

ELSEWHERE = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)
"""Errors after which the coordinator must be looked up again."""


def watch_committed_offsets(coordinator: Any) -> None:
    """Show aiokafka's `GroupCoordinator` the error of a whole answer; it then retries by itself.

    A committed number below zero means nothing to it then.
    """
    coordinator._send_req = checked(coordinator._send_req, coordinator.coordinator_dead)  # noqa: SLF001


def checked(send: Send, coordinator_dead: Callable[[], object]) -> Send:
    """Wrap a sender to raise the error of a whole OffsetFetch answer, and to mend its offsets."""

    async def send_checked(request: Any) -> Any:
        response = await send(request)
        if isinstance(request, OffsetFetchRequest):
            error = for_code(getattr(response, "error_code", 0))
            if error in ELSEWHERE:
                coordinator_dead()
            if error is not NoError:
                raise error
            response.topics = [
                (topic, [_meant(*partition) for partition in partitions])
                for topic, partitions in response.topics
            ]
        return response

    return send_checked


def _meant(number: int, offset: int, *rest: Any) -> tuple[Any, ...]:
    return number, max(offset, UNKNOWN_OFFSET), *rest
