"""Wakes aiokafka's metadata task whenever somebody waits for metadata.

Who needs new metadata of aiokafka 0.14's client wakes its `_md_synchronizer` and waits for what
that brings. It is woken only when no update is under way, since the one that is will do. But when
that one came of itself, because the metadata were old, and the list of topics changes meanwhile (a
subscription to a new topic), the synchronizer takes the update for outdated, starts over, and waits
to be woken: which nobody does, as an update seems to be under way. Everything that waits for
metadata stands still until they are old again (`metadata_max_age_ms`, 60 s here, 300 by default):
the rebalance, and with it the group.

Not reported of aiokafka; #712 and #1108 are about updates that do not end.

- Symptom: "Kafka did not answer within 40 s while the guard's table was read", in a worker that has
  just subscribed to a new topic, while Kafka answers all others.
- Reproduction: `set_topics` while an update runs that nobody asked for.
- Mend: every request wakes the synchronizer, whether an update is under way or not.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.client import AIOKafkaClient

from app.kafka.wrapping import wrap

Force = Callable[[Any], Any]


def wake_always() -> None:
    """Make every Kafka client of this process fetch metadata whenever somebody waits for it."""
    wrap(AIOKafkaClient, "force_metadata_update", waking)


def waking(force: Force) -> Force:
    """Wrap `AIOKafkaClient.force_metadata_update` to wake the synchronizer every time."""

    @wraps(force)
    def force_metadata_update(client: Any) -> Any:
        updated = force(client)
        if not client._md_update_waiter.done():  # noqa: SLF001
            client._md_update_waiter.set_result(None)  # noqa: SLF001
        return updated

    return force_metadata_update
