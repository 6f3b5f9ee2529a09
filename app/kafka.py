"""How every Kafka client of the project connects: one place for addresses and limits."""

from typing import Any

from yarl import URL

from app.settings import KafkaSettings


def bootstrap_servers(url: str) -> list[str]:
    """The `host:port` of each broker in `kafka://a:9092;b:9092` (the scheme may be repeated)."""
    parts = [part if "://" in part else f"kafka://{part}" for part in url.split(";") if part]
    return [f"{parsed.host}:{parsed.port or 9092}" for parsed in map(URL, parts)]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes: addresses and security."""
    return {"bootstrap_servers": bootstrap_servers(settings.url)}


def producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments of a producer that acknowledges only what every replica holds.

    `max_request_size` leaves room for what surrounds the largest record; the batch size stays under
    the broker's default `max.message.bytes`, which counts whole batches, so that only a single
    record can ever be too large.
    """
    return {
        **client_options(settings),
        "acks": "all",
        "enable_idempotence": True,
        "max_request_size": settings.max_record_bytes + RECORD_OVERHEAD,
        "max_batch_size": 512 * 1024,
    }


RECORD_OVERHEAD = 64 * 1024
"""Bytes that a document or a dead letter may be larger than the record that it came from."""
