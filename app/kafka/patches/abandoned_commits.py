"""Drops the error of a commit that nobody waits for any more.

aiokafka 0.14 shields the request of a commit: who waits for `GroupCoordinator.commit_offsets` may
give up, as Faust and the persister do after some seconds, and the request goes on as a task of its
own. If Kafka refuses it then, the error is nobody's, and asyncio logs it with a traceback. aiokafka
itself has noted the refusal by then, and joins the group again.

Not reported of aiokafka.

- Symptom: "Task exception was never retrieved" of `_do_commit_offsets` with UnknownMemberIdError or
  NotCoordinatorForGroupError, once a broker answers again that was frozen for longer than the
  session timeout.
- Reproduction: cancel `commit_offsets` while it waits for the answer, then answer with error 25.
- Mend: the shielded task raises only as long as `commit_offsets` waits for it. To retrieve its
  exception in a callback is not enough from Python 3.14 on, where `shield` itself reports it.
"""

from typing import Any

from aiokafka.errors import KafkaError


def drop_abandoned_commits(coordinator: Any) -> None:
    """Have the commits of aiokafka's `GroupCoordinator` raise only to who waits for them."""
    wait, request = coordinator.commit_offsets, coordinator._do_commit_offsets  # noqa: SLF001
    awaited: list[Any] = []

    async def commit_offsets(assignment: Any, offsets: Any) -> None:
        awaited.append(offsets)
        try:
            await wait(assignment, offsets)
        finally:
            awaited[:] = [other for other in awaited if other is not offsets]

    async def do_commit_offsets(assignment: Any, offsets: Any) -> None:
        try:
            await request(assignment, offsets)
        except KafkaError:
            if any(other is offsets for other in awaited):
                raise

    coordinator.commit_offsets = commit_offsets
    coordinator._do_commit_offsets = do_commit_offsets  # noqa: SLF001
