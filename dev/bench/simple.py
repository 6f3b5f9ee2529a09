"""The loop that one would write by hand: one topic to CouchDB, and nothing else.

It keeps no order, remembers nothing, sets nothing aside, and ends on the first surprise. What the
worker does besides should cost a user neither time nor much CPU: hence the comparison.

    python -m dev.bench.simple KAFKA_HOST:PORT TOPIC DATABASE_URL
"""

import asyncio
import json
import sys
import time
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer

GROUP = "simple-loop"


def document(message: bytes) -> dict[str, Any]:
    """What is stored of a message."""
    record = json.loads(message)["response"]
    return {
        **record,
        "_id": f"{record['namespace']}/{record['activationId']}",
        "entityType": "activation",
        "updated": int(time.time() * 1000),
    }


async def carry(kafka: str, topic: str, database: str) -> None:
    """Copy records for as long as it is let."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka,
        group_id=f"{topic}-{GROUP}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    print("reading", flush=True)
    try:
        async with aiohttp.ClientSession() as http:
            while True:
                fetched = await consumer.getmany(timeout_ms=1000, max_records=1000)
                records = [record for part in fetched.values() for record in part]
                if not records:
                    continue
                docs = [document(record.value) for record in records]
                async with http.post(f"{database}/_bulk_docs", json={"docs": docs}) as answer:
                    answer.raise_for_status()
                    await answer.read()
                await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(carry(*sys.argv[1:]))
