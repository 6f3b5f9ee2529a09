"""Connection options of every Kafka client: addresses, security and limits in one place."""

from typing import TYPE_CHECKING, Any

from aiokafka.record.default_records import DefaultRecordBatch

from app.kafka.patches.bootstrap_failures import tell_why_none_answers
from app.kafka.patches.closed_transport import mend_connections
from app.kafka.patches.copied_records import copy_once
from app.kafka.patches.lost_wakeups import wake_always
from app.kafka.patches.missing_controller import miss_controllers
from app.kafka.patches.moved_brokers import follow_moved_brokers
from app.kafka.patches.noted_throttling import note_throttling
from app.kafka.patches.refused_logins import pause_after_refusals
from app.kafka.patches.rotated_passwords import read_again
from app.kafka.patches.scram_iterations import bound_iterations
from app.kafka.patches.unreadable_answers import LARGEST_FETCH, refuse_unreadable_answers
from app.settings import Compression, KafkaSettings
from app.settings.kafka import broker_addresses, host_and_port
from app.settings.security import client_context

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT


def bootstrap_servers(url: str) -> list[str]:
    """The `host:port` of each broker in an address such as `kafka://a:9092;b:9092`.

    Raises:
        ValueError: the address is not a list of brokers.
    """
    return [host_and_port(*address) for address in broker_addresses(url)]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments of every aiokafka client: addresses and security."""
    return {"bootstrap_servers": bootstrap_servers(settings.url), **security_options(settings)}


def mend_clients(settings: KafkaSettings) -> None:
    """Apply to this process what every Kafka client needs; again does no harm.

    A command meets the same brokers as a worker, so nothing of this is a worker's alone.
    """
    mend_connections()
    refuse_unreadable_answers(LARGEST_FETCH + max(settings.fetch_bytes, settings.max_record_bytes))
    follow_moved_brokers()
    wake_always()
    tell_why_none_answers()
    miss_controllers()
    note_throttling()
    copy_once()


def security_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments for protocol, login and TLS, as aiokafka names them."""
    protocol, password = settings.security_protocol, settings.sasl_password
    mend_clients(settings)
    options: dict[str, Any] = {"security_protocol": protocol.value}
    if protocol.tls:
        options["ssl_context"] = client_context(
            settings.tls_ca_file, settings.tls_certificate_file, settings.tls_key_file
        )
    if protocol.sasl and settings.sasl_mechanism and password:
        pause_after_refusals()
        bound_iterations()
        options["sasl_mechanism"] = settings.sasl_mechanism.value
        options["sasl_plain_username"] = settings.sasl_user
        options["sasl_plain_password"] = password.get_secret_value()
        if settings.sasl_password_file is not None:
            read_again(password.get_secret_value(), settings.sasl_password_file)
    return options


def broker_credentials(settings: KafkaSettings) -> "CredentialsT | None":
    """`security_options` for the consumer and producer that Faust makes; None without security."""
    # Imported here, because the gateway and the activation store run without Faust.
    from faust.auth import SASLCredentials, SSLCredentials  # noqa: PLC0415

    options = security_options(settings)
    context = options.get("ssl_context")
    if settings.security_protocol.sasl:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments of a producer whose records every in-sync replica acknowledges.

    `max_request_size` leaves room for the overhead of the largest record. The batch size stays
    below the broker's default `max.message.bytes`, which applies to whole batches, so that only a
    single record can ever be too large.
    """
    return {
        **client_options(settings),
        "acks": "all",
        "enable_idempotence": True,
        "max_request_size": settings.max_record_bytes + RECORD_OVERHEAD,
        "max_batch_size": BATCH_BYTES,
    }


def codec(compression: Compression) -> int:
    """The number of a compression codec in Kafka's record batches."""
    return _CODECS[compression]


_CODECS: dict[Compression, int] = {
    Compression.NONE: 0,
    Compression.GZIP: DefaultRecordBatch.CODEC_GZIP,
    Compression.SNAPPY: DefaultRecordBatch.CODEC_SNAPPY,
    Compression.LZ4: DefaultRecordBatch.CODEC_LZ4,
    Compression.ZSTD: DefaultRecordBatch.CODEC_ZSTD,
}

BATCH_BYTES = 512 * 1024
"""Size limit of a batch before compression."""

RECORD_OVERHEAD = 64 * 1024
"""By how many bytes a document or dead letter may exceed the record that it was made from."""
