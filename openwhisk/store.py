"""The activation store that a controller or an invoker uses instead of the database."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Raw

from app.kafka.topics import TopicNames, store_topic
from app.routing.outcomes import Candidate
from app.routing.rules import Rules, left_out
from app.settings import KafkaSettings, LogMode
from models.activation import Activation
from models.messages import Message, ResultMessage, encode
from models.reasons import SkipReason
from models.roles import TopicRole
from models.transid import TransactionId
from models.wire import Version
from openwhisk.publisher import Publisher, PublishError


class StoreRole(StrEnum):
    """Which part of OpenWhisk stores a record."""

    CONTROLLER = "controller"
    """It stores sequences, conductors and triggers."""

    INVOKER = "invoker"
    """It stores results of actions."""


class InvokerRecords(StrEnum):
    """Which records an invoker's store writes while logs are kept elsewhere."""

    UNCARRIED = "uncarried"
    """Records that no acknowledgement carries: non-blocking ones, and those too large for an
    acknowledgement.
    """

    ALL = "all"
    """Every record; a blocking one then arrives twice, on two topics."""


class NotStored(Exception):  # noqa: N818 - what happened
    """A record is not (or not known to be) where it should be; the message says why."""


class NotEncodable(PublishError):  # noqa: N818
    """A message cannot be written as JSON in UTF-8; it will never pass."""


class PrimaryStore(Protocol):
    """A store that is written after Kafka, for readers that cannot wait."""

    async def store(self, transid: TransactionId, activation: Activation) -> None:
        """Store a record; returns once it is stored."""


class Publishes(Protocol):
    """The part of `Publisher` that the producing side uses."""

    async def publish(self, topic: str, value: bytes, key: bytes | None = None) -> None:
        """Publish a record; returns once it is acknowledged."""

    async def publish_all(self, topic: str, values: Sequence[bytes]) -> list[PublishError | None]:
        """Publish many records; returns for each what `publish` would have raised."""


class KafkaActivationStore:
    """Stores records by sending `ResultMessage`s (OpenWhisk's `ActivationStore`).

    Args:
        publisher: publishes the messages.
        role: which part of OpenWhisk stores.
        log_mode: decides the topic: `completed-others`, or `activations` for records with logs.
        topics: the deployment's topic names.
        rules: store levels and excluded namespaces.
        invoker_records: which records an invoker writes while logs are kept elsewhere.
        version: the version of the messages.
        primary: if given, written after Kafka.
    """

    def __init__(
        self,
        publisher: Publishes,
        role: StoreRole,
        log_mode: LogMode,
        topics: TopicNames,
        *,
        rules: Rules,
        invoker_records: InvokerRecords = InvokerRecords.UNCARRIED,
        version: Version = Version.CURRENT,
        primary: PrimaryStore | None = None,
    ) -> None:
        self.topic = topics.store(log_mode)
        self._publisher = publisher
        self._rules = rules
        self._version = version
        self._primary = primary
        # Acknowledgements carry records without logs, which is not enough if logs belong inside.
        self._skips_carried = (
            role is StoreRole.INVOKER
            and log_mode is LogMode.SEPARATE
            and invoker_records is InvokerRecords.UNCARRIED
        )

    async def store(
        self,
        transid: TransactionId,
        activation: Activation,
        *,
        blocking: bool,
        carried: bool = False,
    ) -> bool:
        """Store a record; returns once Kafka has acknowledged it.

        Args:
            transid: the request's transaction id; extra logging in it overrides the store level.
            activation: the record, with logs if they belong inside.
            blocking: whether somebody waits for the result; decides the store level.
            carried: whether an acknowledgement with the whole record is on Kafka.

        Returns:
            Whether it was written: False if the store level or its namespace leaves it out, or an
            acknowledgement carries it.

        Raises:
            NotStored: Kafka or the primary store did not take it.
        """
        # The `completed` topics have the store level of blocking activations.
        role = TopicRole.COMPLETED if blocking else TopicRole.OTHERS
        if left_out_as(role, transid, activation, self._rules):
            return False
        written = not (carried and self._skips_carried)
        if written:
            await self._send(transid, activation)
        if self._primary is not None:
            await self._store_primary(self._primary, transid, activation)
        return written

    async def _send(self, transid: TransactionId, activation: Activation) -> None:
        message = ResultMessage(transid=transid, response=activation)
        try:
            await self._publisher.publish(self.topic, encoded(message, self._version))
        except PublishError as error:
            raise NotStored(_about(activation, str(error))) from error

    async def _store_primary(
        self, primary: PrimaryStore, transid: TransactionId, activation: Activation
    ) -> None:
        try:
            await primary.store(transid, activation)
        except Exception as error:  # whatever a store raises: the caller has to know
            reason = f"is on Kafka, but the primary store failed: {error}"
            raise NotStored(_about(activation, reason)) from error


def encoded(message: Message, version: Version) -> bytes:
    """Encode a message; raises `NotEncodable`."""
    try:
        return encode(message, version)
    except (TypeError, ValueError) as error:
        # The error itself may quote the record.
        raise NotEncodable(f"it can't be written as JSON ({type(error).__name__})") from None


def left_out_as(
    role: TopicRole, transid: TransactionId, activation: Activation, rules: Rules
) -> SkipReason | None:
    """Why the persister's rules would leave out a record from a topic with this role, or None."""
    candidate = Candidate(
        activation_id=activation.activation_id,
        namespace=activation.namespace,
        status_code=activation.response.status_code,
        transid=Raw(msgspec.json.encode(transid.to_wire())),
        document=b"",
    )
    skip = left_out(role, candidate, rules)
    return None if skip is None else skip.reason


async def ensure_store_topic(publisher: Publisher, topic: str, settings: KafkaSettings) -> bool:
    """Create the store's topic, with room for the largest record; returns whether it was missing.

    Raises:
        KafkaError: Kafka cannot be reached, or refuses.
    """
    return await publisher.ensure_topic(store_topic(topic, settings))


def _about(activation: Activation, what: str) -> str:
    return f"activation {activation.activation_id}: {what}"
