"""Letters that Kafka does not let be sent."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from app.dead_letters.destination import Destination
from app.dead_letters.errors import LettersError
from app.dead_letters.planning import Planned
from app.dead_letters.readiness import no_check
from app.dead_letters.sending import Sender
from app.kafka.admin import Admin
from app.settings import KafkaSettings
from tests.fakes.kafka_admin import FakeAdminClient
from tests.unit.dead_letters.letters import letter

NEEDED = "may not write to topic completed0: grant Write on it. Then run it again"


class Around:
    """What a sender uses: a producer that may not write, and a log that keeps what is claimed."""

    def __init__(self) -> None:
        self.kafka = FakeAdminClient()
        self.kafka.topics["completed0"] = 1
        self.claimed: list[Mapping[Any, Any]] = []
        producer: Any = SimpleNamespace(send=self._send)
        reader: Any = SimpleNamespace(ends=self._ends)
        log: Any = SimpleNamespace(write=self._write)
        admin = Admin(self.kafka)
        self.sender = Sender(
            *(producer, reader, log, no_check), admin=admin, settings=KafkaSettings()
        )

    async def _send(self, topic: str, *_: Any) -> None:
        raise TopicAuthorizationFailedError(topic)

    async def _ends(self, partitions: Any) -> dict[Any, int]:
        return dict.fromkeys(partitions, 7)

    async def _write(self, notes: Mapping[Any, Any]) -> None:
        self.claimed.append(notes)


async def test_a_letter_that_may_not_be_sent_is_not_claimed_and_the_right_is_named() -> None:
    around = Around()
    around.kafka.rights["completed0"] = 1 << 3 | 1 << 8
    await around.sender.add(Planned(letter(), Destination("completed0", 0)))
    with pytest.raises(LettersError, match=NEEDED):
        await around.sender.flush()
    assert around.claimed == []


async def test_where_kafka_tells_no_rights_its_refusal_names_the_right() -> None:
    around = Around()
    around.kafka.old = True
    await around.sender.add(Planned(letter(), Destination("completed0", 0)))
    with pytest.raises(LettersError, match=NEEDED):
        await around.sender.flush()
    assert len(around.claimed) == 1
