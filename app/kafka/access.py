"""Connectivity and ACL checks at start-up, with the setting to change when one fails.

aiokafka tries one broker after the other and in the end reports only that none could be reached,
whether the network is down or the password is wrong. So the first connection is made here.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from mode import Service

from app.kafka.admin import Admin, open_admin
from app.kafka.clients import bootstrap_servers, security_options
from app.kafka.errors import error_text
from app.kafka.metadata import Right
from app.kafka.patches.refused_logins import logins, refusal_text, refuses
from app.kafka.patches.unreadable_answers import UnreadableAnswerError, unreadable
from app.kafka.topics import TopicSpec
from app.process.errors import StartError
from app.process.words import listed, system_reason
from app.settings import KafkaSettings

ANSWER_SECONDS = 10.0
"""How long one broker may take to answer."""

RETRY_SECONDS = 2.0
"""Between two attempts to reach Kafka."""


class AccessError(StartError):
    """Kafka refuses access until something is changed; the message says what."""


class Access(Service):
    """Waits until Kafka can be reached, and ends the worker if Kafka refuses access.

    Args:
        settings: how to connect.
        topics: those that the worker needs.
        worker: the waiting ends when it is told to stop.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Collection[TopicSpec], worker: Service, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._topics = topics
        self._worker = worker

    async def on_start(self) -> None:
        """Return when a broker has answered.

        Raises:
            AccessError: Kafka refuses access. The worker ends, so that its next start reads the
            settings again.
        """

        async def attempt() -> None:
            await ask(self._settings)
            await check_rights(self._settings, self._topics)

        await when_kafka_answers(self._settings, self._worker, attempt)


async def when_kafka_answers(
    settings: KafkaSettings, worker: Service, attempt: Callable[[], Awaitable[None]]
) -> None:
    """Repeat `attempt` until Kafka answers or the worker stops; logs once that it waits."""
    waiting = False
    while not worker.should_stop:
        try:
            await attempt()
        except (KafkaError, OSError) as error:
            if not waiting:
                worker.log.warning(
                    "Kafka at %s is not there yet (%s); trying again.",
                    *(settings.url, explain(error, settings)),
                )
            waiting = True
            # The worker's `sleep`, because a service that is still starting is not told to stop.
            await worker.sleep(RETRY_SECONDS)
        else:
            return


async def ask(settings: KafkaSettings) -> None:
    """Try the brokers one after the other until one answers.

    Raises:
        AccessError: none answers, and one of them refuses.
        KafkaError, OSError: none can be reached.
    """
    failure = await why_not(settings)
    if failure is None:
        return
    if refuses(failure):
        reason = explain(failure, settings)
        raise AccessError(f"Kafka at {settings.url} refuses: {reason}") from None
    raise failure


async def why_not(settings: KafkaSettings) -> Exception | None:
    """Why no broker answers, or None if one does; a refusal counts more than another failure."""
    failures: list[Exception] = []
    for server in bootstrap_servers(settings.url):
        try:
            await _ask(server, settings)
        except (KafkaError, OSError) as error:
            failures.append(error)
        else:
            return None
    return next(filter(refuses, failures), failures[0])


async def _ask(server: str, settings: KafkaSettings) -> None:
    host, _, port = server.rpartition(":")
    connection = await create_conn(
        host,
        int(port),
        request_timeout_ms=int(ANSWER_SECONDS * 1000),
        **security_options(settings),
    )
    try:
        # A listener that requires a login answers everything before this, then closes the
        # connection.
        await connection.send(MetadataRequest([]))
    finally:
        connection.close()


async def check_rights(settings: KafkaSettings, topics: Collection[TopicSpec]) -> None:
    """Check that the user has the rights to these topics and to the consumer group.

    To a user without Describe on a topic, Kafka pretends that the topic does not exist.

    Raises:
        AccessError: a right is missing.
        KafkaError, OSError: Kafka does not answer.
    """
    async with open_admin(settings) as admin:
        existing = await admin.topics()
        missing = [topic for topic in topics if topic.name not in existing]
        refused = await admin.would_refuse(missing, settings.replication)
        for name, error in refused.items():
            if isinstance(error, TopicAuthorizationFailedError):
                raise AccessError(
                    f"{_user(settings)} may neither see nor create topic {name}: grant Describe, "
                    "Read and Write on it, and Create unless it exists"
                )
        await check_own(admin, settings, [topic.name for topic in topics if topic.name in existing])
        await _check_group(admin, settings)


async def check_own(admin: Admin, settings: KafkaSettings, topics: Collection[str]) -> None:
    """Check that the user may read and write topics that exist, as far as Kafka tells.

    Raises:
        AccessError: a right is missing.
        KafkaError, OSError: Kafka does not answer.
    """
    told = await admin.rights(topics)
    if grants := [
        grant for topic, rights in told.items() if (grant := lacking(topic, rights, *READ_WRITE))
    ]:
        raise AccessError(f"{_user(settings)} lacks rights to topics: grant {listed(grants)}")


READ_WRITE = (Right.READ, Right.WRITE)


def lacking(topic: str, rights: Collection[Right], *needed: Right) -> str:
    """Which of the needed rights to grant on a topic, such as `Read and Write on x`; or nothing."""
    missing = listed([right for right in needed if right not in rights])
    return f"{missing} on {topic}" if missing else ""


async def _check_group(admin: Admin, settings: KafkaSettings) -> None:
    try:
        await admin.coordinator(settings.app_id)
    except GroupAuthorizationFailedError as error:
        raise AccessError(explain(error, settings)) from None
    except GroupCoordinatorNotAvailableError:
        return  # a new cluster without a group; the consumer waits for the coordinator


def _user(settings: KafkaSettings) -> str:
    return f"Kafka's user {settings.sasl_user!r}" if settings.sasl_user else "this client"


def why_refused(topic: str, error: KafkaError, settings: KafkaSettings) -> str:
    """Why Kafka refuses a topic's records, where trying again cannot help."""
    match error:
        case TopicAuthorizationFailedError():
            return f"{_user(settings)} may not write to topic {topic}: grant Write on it"
        case ClusterAuthorizationFailedError():
            return (
                f"{_user(settings)} may not write to topic {topic} as an idempotent producer: "
                "grant IdempotentWrite on the cluster"
            )
        case _:
            return (
                f"Kafka refuses records of topic {topic} ({error_text(error)}): see the topic's "
                "settings and the brokers' log"
            )


def not_written(topic: str, error: BaseException, settings: KafkaSettings) -> str:
    """Why a record was not written to a topic, whether the cause is transient or not."""
    match error:
        case TopicAuthorizationFailedError() | ClusterAuthorizationFailedError():
            return why_refused(topic, error, settings)
        case KafkaError():
            return f"Kafka does not take records of topic {topic} ({error_text(error)})"
        case _:
            return f"a record of topic {topic} was not sent ({error!r})"


def explain(error: BaseException, settings: KafkaSettings) -> str:  # noqa: PLR0911 - one for each
    """What went wrong, and which setting to check."""
    protocol = f"PERSISTER_KAFKA_SECURITY_PROTOCOL ({settings.security_protocol})"
    match error:
        case SaslAuthenticationFailed() | UnsupportedSaslMechanismError():
            return refusal_text(error, settings.sasl_user, settings.sasl_mechanism)
        case IllegalSaslStateError():
            return f"this listener takes no login: check {protocol}"
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted ({error.verify_message}): check "
                "PERSISTER_KAFKA_CA_FILE, and that PERSISTER_KAFKA_URL has a name that stands in "
                "the certificate"
            )
        case ssl.SSLError():
            return (
                f"TLS fails ({error.strerror}): check {protocol}, and PERSISTER_KAFKA_CERTIFICATE_"
                "FILE if the broker asks for a certificate"
            )
        case KafkaConnectionError(__cause__=KafkaError() | OSError() as why):
            return explain(why, settings)
        case KafkaConnectionError() | NodeNotReadyError() | ConnectionResetError():
            return _unreachable(settings)
        case (
            GroupCoordinatorNotAvailableError()
            | GroupLoadInProgressError()
            | NotCoordinatorForGroupError()
        ):
            return (
                "no broker coordinates the group yet: a new cluster, or one whose brokers have "
                "just begun, takes some seconds for that. If it lasts, see the brokers' log; "
                "offsets.topic.replication.factor must not be more than there are brokers"
            )
        case asyncio.TimeoutError() | RequestTimedOutError() | KafkaTimeoutError():
            return (
                f"{unreadable.told or 'no answer in time'}: check that the brokers run, and "
                "PERSISTER_KAFKA_URL"
            )
        case _:
            return _in_other_words(error, settings)


def _unreachable(settings: KafkaSettings) -> str:
    """Why no broker can be used: aiokafka reports a refused login like a broker that is down."""
    if logins.refused:
        return refusal_text(logins.refused, settings.sasl_user, settings.sasl_mechanism)
    return (
        "it cannot be reached, or closes the connection: if that lasts, check PERSISTER_KAFKA_URL "
        f"and PERSISTER_KAFKA_SECURITY_PROTOCOL ({settings.security_protocol})"
    )


def _in_other_words(error: BaseException, settings: KafkaSettings) -> str:
    if isinstance(error, UnreadableAnswerError):
        return (
            f"{error}: is it Kafka that listens there? Check PERSISTER_KAFKA_URL and "
            f"PERSISTER_KAFKA_SECURITY_PROTOCOL ({settings.security_protocol})"
        )
    if isinstance(error, GroupAuthorizationFailedError):
        return (
            f"{_user(settings)} may not use the consumer group {settings.app_id} "
            "(PERSISTER_APP_ID): grant Read on it"
        )
    if isinstance(error, TopicAuthorizationFailedError):
        return f"{error_text(error)}: {_user(settings)} lacks a right to the topic, Read or Write"
    if isinstance(error, TransactionalIdAuthorizationFailed):
        return f"{error_text(error)}: grant {_user(settings)} Write on this transactional id"
    if isinstance(error, OSError):
        return f"{system_reason(error)}: check PERSISTER_KAFKA_URL, and that the brokers run"
    return error_text(error)
