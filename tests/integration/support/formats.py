"""What one version of the persister left in Kafka, kept as data, for the next one to go on from.

    python -m dev run -- python -m tests.integration.support.formats [FOLDER OF THE VERSION] > FILE

records it: a worker of that version stores some records, then routes others while there is no
database, and further ones arrive after its end. `--no-outage` leaves out the second part, for
versions that route nothing before the database has answered. `restore` puts it into another Kafka.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.kafka.clients import bootstrap_servers
from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.process import free_port
from dev.services import COUCHDB_URL, KAFKA_URL
from dev.worker import database_settings, environment
from tests.integration.support.database import stored
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.records import Records, document_id
from tests.integration.support.waiting import coordinated, drained, until

TOPIC_PREFIX = "upgrade-"
GROUP = f"{TOPIC_PREFIX}persister"
INPUT = f"{TOPIC_PREFIX}completed0"
DOCUMENTS = f"{TOPIC_PREFIX}persister-documents"
DATABASE = f"{TOPIC_PREFIX}activations"
PARTITIONS = 2
JUNK = [b"not JSON", b'{"response": 1}', b"[]"]


@dataclass(frozen=True)
class Left:
    """What a version left behind.

    Args:
        topics: Partition counts by name.
        records: Of all topics, in order.
        committed: Topic, partition, offset.
        stored: The documents in the database, by `_id`.
        sent: The `_id` of every record that OpenWhisk wrote.
    """

    topics: dict[str, int]
    records: list[dict[str, Any]]
    committed: list[tuple[str, int, int]]
    stored: dict[str, dict[str, Any]]
    sent: list[str]

    @classmethod
    def load(cls, path: Path, prefix: str) -> "Left":
        """Read a file that was recorded, as if its topics had had this prefix."""
        content = json.loads(path.read_text(), object_hook=partial(_renamed, prefix))
        content["topics"] = {
            name.replace(TOPIC_PREFIX, prefix, 1): count
            for name, count in content["topics"].items()
        }
        content["committed"] = [
            (name.replace(TOPIC_PREFIX, prefix, 1), number, offset)
            for name, number, offset in content["committed"]
        ]
        return cls(**content)

    def waiting(self, topic: str) -> int:
        """Records of a topic with one partition that were not committed."""
        [committed] = [offset for name, _, offset in self.committed if name == topic]
        return sum(1 for record in self.records if record["topic"] == topic) - committed


def _renamed(prefix: str, content: dict[str, Any]) -> dict[str, Any]:
    """A recorded record with another topic prefix, in its headers, too."""
    if "headers" in content:
        content["topic"] = content["topic"].replace(TOPIC_PREFIX, prefix, 1)
        old, new = TOPIC_PREFIX.encode(), prefix.encode()
        content["headers"] = [
            (name, _encoded(base64.b64decode(value).replace(old, new)))
            for name, value in content["headers"]
        ]
    return content


async def restore(left: Left, kafka_url: str, admin: Admin, group_id: str) -> None:
    """Make the topics as they were, and the group's offsets."""
    for name, partitions in left.topics.items():
        compacted = {"cleanup_policy": "compact"} if name.endswith("changelog") else {}
        await admin.create_topic(
            name, partitions, retention_ms="-1", max_message_bytes="16842752", **compacted
        )
    client = AIOKafkaProducer(bootstrap_servers=bootstrap_servers(kafka_url))
    await client.start()
    try:
        for record in left.records:
            kept = await client.send_and_wait(
                record["topic"],
                _decoded(record["value"]),
                key=_decoded(record["key"]),
                partition=record["partition"],
                timestamp_ms=record["timestamp"],
                headers=[(name, base64.b64decode(value)) for name, value in record["headers"]],
            )
            assert kept.offset == record["offset"], record
    finally:
        await client.stop()
    group = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers(kafka_url), group_id=group_id, enable_auto_commit=False
    )
    await group.start()
    try:
        offsets = {TopicPartition(topic, number): at for topic, number, at in left.committed}
        group.assign(list(offsets))
        await group.commit(offsets)
    finally:
        await group.stop()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


async def record(project: Path, kafka_url: str, couchdb_url: str, *, outage: bool) -> Left:
    """Let the version in a folder work, and keep what it leaves."""
    records = Records(17)
    sent = []
    await coordinated(kafka_url)
    async with connect_admin(kafka_url) as admin, producer(kafka_url) as kafka:
        await admin.create_topic(INPUT)
        with tempfile.TemporaryDirectory() as folder:
            worker = _Worker(project, Path(folder), kafka_url)
            with worker.running(**database_settings(couchdb_url)):
                some = records.many(8)
                await kafka.records(INPUT, [*some, some[0]])
                await kafka.send_all(INPUT, JUNK)
                await drained(admin, TOPIC_PREFIX, INPUT)
                sent += some
            if outage:
                with worker.running(couchdb_url=f"http://127.0.0.1:{free_port()}"):
                    some = records.many(5)
                    await kafka.records(INPUT, some)
                    ends = await admin.end_offsets(INPUT)

                    async def routed() -> bool:
                        return await admin.committed(GROUP, INPUT) == ends

                    await until(routed, "all is routed")
                    sent += some
            some = records.many(4)
            await kafka.records(INPUT, some)
            sent += some
        names = await admin.topics(TOPIC_PREFIX)
        read = {name: await read_topic(kafka_url, name) for name in names}
        committed = [
            (name, number, offset)
            for name in names
            for number, offset in (await admin.committed(GROUP, name)).items()
        ]
        topics = {name: len(await admin.end_offsets(name)) for name in names}
    found = await stored(couchdb_url, DATABASE)
    return Left(
        topics,
        [
            {
                "topic": name,
                "partition": one.partition,
                "offset": one.offset,
                "timestamp": one.timestamp,
                "key": _encoded(one.key),
                "value": _encoded(one.value),
                "headers": [(header, _encoded(value)) for header, value in one.headers],
            }
            for name, records_of in read.items()
            for one in records_of
        ],
        committed,
        {key: {k: v for k, v in doc.items() if k != "_rev"} for key, doc in found.items()},
        [document_id(one) for one in sent],
    )


class _Worker:
    """Of whatever version: unlike `dev.worker.Worker`, it is not asked whether it is ready."""

    def __init__(self, project: Path, folder: Path, kafka_url: str) -> None:
        self._project = project
        self._given = {
            "kafka_url": kafka_url,
            "topic_prefix": TOPIC_PREFIX,
            "app_id": GROUP,
            "partitions": PARTITIONS,
            "database": DATABASE,
            "datadir": folder / "data",
            "web_port": free_port(),
        }

    def running(self, **settings: object) -> "_Running":
        process = subprocess.Popen(
            [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "info"],
            cwd=self._project,
            env=environment(self._given | settings),
            stdout=sys.stderr,
        )
        return _Running(process)


class _Running:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(40)


def main() -> None:
    project = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    outage = "--no-outage" not in sys.argv
    left = asyncio.run(
        record(project, os.environ[KAFKA_URL], os.environ[COUCHDB_URL], outage=outage)
    )
    json.dump(vars(left), sys.stdout, indent=0)


if __name__ == "__main__":
    main()
