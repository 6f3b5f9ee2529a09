"""The first step: from a chunk of OpenWhisk's messages to documents in the internal topic."""

from collections import Counter
from collections.abc import Iterable

from app.dead_letters import DeadLetters, SetAside
from app.delivery import Chunk
from app.outbox import Outbox, Outgoing
from app.outcomes import Key, Outcome, Outcomes, Step
from app.routing import Reject, Skip, Store, route
from app.settings import RoutingSettings
from models.reasons import RejectReason
from models.roles import TopicRole


class Intake:
    """Routes chunks; never waits for the database."""

    def __init__(
        self,
        rules: RoutingSettings,
        outbox: Outbox,
        documents_topic: str,
        dead_letters: DeadLetters,
        outcomes: Outcomes,
    ) -> None:
        self._rules = rules
        self._outbox = outbox
        self._documents_topic = documents_topic
        self._dead_letters = dead_letters
        self._outcomes = outcomes

    async def take(self, chunk: Chunk, role: TopicRole) -> None:
        """Route every record of a chunk.

        Returns when its documents are acknowledged in the internal topic and what was rejected in
        the dead-letter topic, so that the chunk can be acknowledged.
        """
        counts: Counter[Key] = Counter()
        documents = []
        set_aside: list[SetAside] = []
        for record in chunk.records:
            match route(role, record.value, record.timestamp, self._rules):
                case Store(activation_id, document):
                    documents.append((record, Outgoing(activation_id.encode(), document)))
                case Skip(reason):
                    counts[Key(Step.ROUTE, Outcome.SKIPPED, reason)] += 1
                case Reject(reason, detail):
                    set_aside.append(SetAside(record, reason, detail))
        too_large = await self._outbox.send(
            self._documents_topic, (document for _, document in documents)
        )
        if too_large:
            set_aside += _too_large(documents, too_large)
        await self._dead_letters.write(set_aside)
        counts[Key(Step.ROUTE, Outcome.ROUTED)] = len(documents) - len(too_large)
        counts.update(Key(Step.ROUTE, Outcome.DEAD_LETTERED, letter.reason) for letter in set_aside)
        self._outcomes.add(Step.ROUTE, counts, len(chunk.records))


def _too_large(
    documents: Iterable[tuple[object, Outgoing]], too_large: list[Outgoing]
) -> list[SetAside]:
    sent = {id(outgoing) for outgoing in too_large}
    return [
        SetAside(
            record,
            RejectReason.TOO_LARGE,
            f"a document of {len(outgoing.value or b'')} bytes does not fit into the internal "
            "topic: raise its max.message.bytes and PERSISTER_MAX_RECORD_BYTES",
        )
        for record, outgoing in documents
        if id(outgoing) in sent
    ]
