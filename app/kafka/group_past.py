"""What a consumer group that has never committed anything would read again.

Another `PERSISTER_APP_ID` is another group: it begins at the start of every topic. The database
takes no record twice; but all of them are read and asked for again, and what was set aside is set
aside once more.
"""

from app.kafka.admin import Admin
from app.kafka.errors import COORDINATOR_NOT_READY, KafkaError
from app.kafka.topics import TopicNames
from app.settings import KafkaSettings

MOST_GROUPS = 50
"""How many groups are checked for being the one that was meant."""


async def would_begin_again(admin: Admin, settings: KafkaSettings, names: TopicNames) -> str | None:
    """A warning if another group has worked here and this one has not; None otherwise.

    Raises:
        KafkaError: Kafka cannot be reached, or refuses.
    """
    partitions = await admin.partition_counts()
    if names.documents not in partitions:
        return None  # a new installation
    try:
        if any(tp.topic == names.documents for tp in await admin.committed(settings.app_id)):
            return None
    except COORDINATOR_NOT_READY:
        return None
    others = await _who_worked_here(admin, settings.app_id, names.documents)
    if not others:
        return None
    return (
        f"the group {settings.app_id} has never read {names.documents}, and {_listed(others)} has: "
        "everything that Kafka holds would be read again, and what was set aside be set aside "
        f"again. If that is not meant, set PERSISTER_APP_ID={others[0]}"
    )


async def _who_worked_here(admin: Admin, own: str, topic: str) -> list[str]:
    found = []
    for group in (await admin.groups())[:MOST_GROUPS]:
        if group == own:
            continue
        try:
            committed = await admin.committed(group)
        except KafkaError:
            continue  # a group that is hidden from this user is not the one that was meant
        if any(tp.topic == topic for tp in committed):
            found.append(group)
    return found


def _listed(groups: list[str]) -> str:
    return f"{groups[0]}" + (f" (and {len(groups) - 1} others)" if groups[1:] else "")
