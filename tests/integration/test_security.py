"""Logging in to Kafka, TLS, who may see the web pages, and what the log may not hold."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiokafka.errors import SaslAuthenticationFailed
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from dev.admin import Admin
from dev.admin import admin as connect_admin
from dev.kafka import Kafka, kafka
from dev.process import HOST
from dev.services import Services
from dev.worker import Worker
from tests.integration.support.certificates import Certificates, make_certificates
from tests.integration.support.database import all_stored, assert_holds
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import producer, read_topic
from tests.integration.support.liar import Liar, changed, liar, overwritten
from tests.integration.support.records import Records, encode, result
from tests.integration.support.waiting import drained, until

PASSWORD = "correct-horse"
TOKEN = "0123456789-abcdef"
USERS = {"persister": PASSWORD}
STRANGERS = {"stranger": "battery-staple"}
MARKER = "zebra-crossing"
SOON = 30
"""Seconds within which a worker logs in again; it takes two."""

OFTEN = 10
"""Logins in a second by all clients of a worker that is refused; without pauses there were 20."""

SECONDS_TO_FAIL = 60
"""It takes two alone on the machine."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def broker(certificates: Certificates) -> Iterator[Kafka]:
    with kafka(users=USERS, strangers=STRANGERS, tls=certificates.tls) as running:
        yield running


@pytest.fixture
async def topics(broker: Kafka) -> AsyncIterator[Admin]:
    async with connect_admin(broker.url) as connected:
        yield connected


def login(mechanism: str = "SCRAM-SHA-512", **changes: object) -> dict[str, object]:
    return {
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": mechanism,
        "kafka_user": "persister",
        "kafka_password": PASSWORD,
    } | changes


def connection(way: str, broker: Kafka, certificates: Certificates) -> dict[str, object]:
    """The settings of a worker that connects in this way."""
    ca = {"kafka_ca_file": certificates.ca}
    match way:
        case "TLS and SCRAM":
            encrypted = {"kafka_security_protocol": "SASL_SSL"}
            return login("SCRAM-SHA-256", kafka_url=broker.sasl_ssl_url) | ca | encrypted
        case "mutual TLS":
            return ca | {
                "kafka_url": broker.ssl_url,
                "kafka_security_protocol": "SSL",
                "kafka_certificate_file": certificates.client,
                "kafka_key_file": certificates.client_key,
            }
        case mechanism:
            return login(mechanism, kafka_url=broker.sasl_url)


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-512", "TLS and SCRAM", "mutual TLS"])
async def test_records_are_stored_over_every_kind_of_connection(
    worker: StartWorker,
    broker: Kafka,
    topics: Admin,
    certificates: Certificates,
    couchdb_url: str,
    prefix: str,
    database: str,
    way: str,
) -> None:
    topic = f"{prefix}completed0"
    await topics.create_topic(topic)
    settings = connection(way, broker, certificates)
    running = await worker(partitions=2, session_timeout=3, **settings)
    async with producer(broker.url) as records:
        await records.records(topic, Records(5).many(50))
        await records.send(topic, b"junk")
        await drained(topics, prefix, topic)
        await assert_holds(couchdb_url, database, records.expected)
    assert len(await read_topic(broker.url, f"{prefix}persister-dead-letters")) == 1
    assert PASSWORD not in running.log()


async def test_a_password_can_come_from_a_file(
    worker: StartWorker, broker: Kafka, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    settings = login(kafka_password="", kafka_password_file=file, kafka_url=broker.sasl_url)
    assert (await worker(partitions=2, **settings)).running


REFUSED: dict[str, tuple[str, dict[str, object], str]] = {
    "password (SCRAM)": ("sasl_url", login(kafka_password="wrong-one"), "PERSISTER_KAFKA_PASSWORD"),
    "password (PLAIN)": (
        "sasl_url",
        login("PLAIN", kafka_password="wrong-one"),
        "PERSISTER_KAFKA_PASSWORD",
    ),
    "login where none is taken": ("url", login(), "PERSISTER_KAFKA_SECURITY_PROTOCOL"),
    "authority": ("ssl_url", {"kafka_security_protocol": "SSL"}, "PERSISTER_KAFKA_CA_FILE"),
    "rights": (
        "sasl_url",
        login(kafka_user="stranger", kafka_password=STRANGERS["stranger"]),
        "may neither see nor create topic",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_kafka_refuses_ends_the_worker_soon_with_the_reason(
    worker: StartWorker, broker: Kafka, what: str
) -> None:
    listener, settings, named = REFUSED[what]
    started = await worker(ready=False, kafka_url=getattr(broker, listener), **settings)
    assert await asyncio.to_thread(started.wait, SECONDS_TO_FAIL) == 1
    log = started.log()
    assert named in log.splitlines()[-1]
    assert "Traceback" not in log
    assert not [secret for secret in ("wrong-one", *STRANGERS.values()) if secret in log]


async def test_a_missing_client_certificate_is_an_error_that_names_its_setting(
    worker: StartWorker, broker: Kafka, certificates: Certificates
) -> None:
    started = await worker(
        ready=False,
        kafka_url=broker.ssl_url,
        kafka_security_protocol="SSL",
        kafka_ca_file=certificates.ca,
    )
    assert await asyncio.to_thread(started.wait, SECONDS_TO_FAIL) == 1
    assert "PERSISTER_KAFKA_CERTIFICATE_FILE" in started.log()


async def test_a_listener_that_wants_a_login_is_a_retry_that_names_the_setting(
    worker: StartWorker, broker: Kafka
) -> None:
    started = await worker(ready=False, kafka_url=broker.sasl_url)

    async def said() -> bool:
        return "PERSISTER_KAFKA_SECURITY_PROTOCOL (PLAINTEXT)" in started.log()

    await until(said, "the log names the setting", within=SECONDS_TO_FAIL)
    assert started.running


def refused(answer: Any) -> None:
    answer.error_code, answer.error_message = SaslAuthenticationFailed.errno, "\x1b[2J no"


def drawn_out(answer: Any) -> None:
    """What SCRAM begins with, but with more iterations than anybody could wait for."""
    answer.sasl_auth_bytes = re.sub(rb"i=\d+", b"i=2000000000", answer.sasl_auth_bytes)


async def test_a_login_through_a_broker_that_lies_goes_on_soon_and_is_not_tried_again_at_once(
    worker: StartWorker,
    broker: Kafka,
    topics: Admin,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = f"{prefix}completed0"
    await topics.create_topic(topic)
    async with liar(str(broker.sasl_url)) as between, producer(broker.url) as records:
        running = await worker(partitions=1, **login(kafka_url=between.url))

        async def goes_on() -> None:
            between.tell({})
            sent = Records(7 + len(records.expected)).many(3)
            await records.records(topic, sent)
            await until(lambda: all_stored(couchdb_url, database, sent), "stored", within=SOON)

        # What cannot be read, on connections that are logged in and on new ones.
        for request, lie in (
            (MetadataRequest, overwritten(0xFF)),
            (SaslHandShakeRequest, overwritten(0)),
            (SaslAuthenticateRequest, changed(drawn_out)),
        ):
            between.tell({request: lie})
            between.disconnect()
            await until(lambda: told(between), f"lies of {request.__name__}")
            await goes_on()
        # And a refusal: not asked again ten times a second by each client.
        between.tell({SaslAuthenticateRequest: changed(refused)})
        between.disconnect()
        await until(lambda: told(between), "refused logins")
        between.told.clear()
        await asyncio.sleep(1)
        assert between.told.total() < OFTEN
        await goes_on()
    log = running.log()
    assert log.count("lets nobody in") == log.count("takes the login again") >= 1
    assert not any(secret in log for secret in (PASSWORD, "Traceback", "\x1b"))


async def told(between: Liar) -> bool:
    return between.told.total() > 0


@contextlib.asynccontextmanager
async def https(couchdb_url: str, certificates: Certificates) -> AsyncIterator[str]:
    """The database's URL behind TLS."""
    parts = urlsplit(couchdb_url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.server)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(parts.hostname, parts.port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    async with await asyncio.start_server(forward, HOST, 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        yield f"https://{credentials}@{HOST}:{port}" if credentials else f"https://{HOST}:{port}"


async def start_over_https(
    worker: StartWorker, url: str, *, ready: bool = True, **settings: Any
) -> Worker:
    address = urlsplit(url)
    bare = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    return await worker(partitions=2, session_timeout=3, ready=ready, couchdb_url=bare, **settings)


async def test_the_database_is_reached_through_tls_of_its_own_authority(
    worker: StartWorker,
    admin: Admin,
    certificates: Certificates,
    kafka_url: str,
    couchdb_url: str,
    prefix: str,
    database: str,
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    async with https(couchdb_url, certificates) as url, producer(kafka_url) as records:
        running = await start_over_https(worker, url, couchdb_ca_file=certificates.ca)
        await records.records(topic, Records(6).many(50))
        await drained(admin, prefix, topic)
        await assert_holds(couchdb_url, database, records.expected)
        await asyncio.to_thread(running.terminate)


async def test_a_database_that_is_not_trusted_gets_nothing_and_the_log_says_why(
    worker: StartWorker, certificates: Certificates, couchdb_url: str
) -> None:
    async with https(couchdb_url, certificates) as url:
        running = await start_over_https(worker, url, ready=False)

        async def said() -> bool:
            return "PERSISTER_COUCHDB_CA_FILE" in running.log()

        await until(said, "the log names the setting")
        await asyncio.to_thread(running.kill)


async def fetch(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_others_cannot_connect_unless_the_worker_is_told_to_listen_to_them(
    worker: StartWorker,
) -> None:
    running = await worker(partitions=2)
    another = running.url.replace(HOST, "127.0.0.2")  # this machine too, by another address
    assert (await fetch(f"{running.url}/status"))[0] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(f"{another}/health/live")


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_others_see_health_alone_without_the_token(worker: StartWorker, token: str) -> None:
    running = await worker(partitions=2, web_host="0.0.0.0", web_token=token)  # noqa: S104
    refused = 401 if token else 403
    for page in ("/status", "/metrics", "/table/", "/"):
        code, body = await fetch(f"{running.url}{page}")
        assert code == refused
        assert "PERSISTER_WEB_TOKEN" in body
    assert (await fetch(f"{running.url}/health/ready"))[0] == 200
    expected = 200 if token else 403
    answer = await fetch(f"{running.url}/status", Authorization=f"Bearer {TOKEN}")
    assert answer[0] == expected
    assert TOKEN not in running.log()


def unstorable(records: Records) -> list[bytes]:
    """Values that end in the dead letters for every kind of reason, each with the marker in it."""
    marked = records.one(subject=MARKER)
    return [
        MARKER.encode(),
        b"\xff" + MARKER.encode(),
        encode({"transid": MARKER, "response": marked}),
        encode({MARKER: MARKER}),
        encode([MARKER]),
        encode(MARKER),
        *(
            result(records.one(**{name: MARKER}))
            for name in ("activationId", "start", "end", "logs", "response", "version", "publish")
        ),
        result(records.one(annotations=MARKER)),
        result(records.one(namespace=f"{MARKER}/x")),
        result(records.one(name=f"{MARKER}/x")),
        result(records.one(response={"statusCode": MARKER})),
        result(records.one(subject="RAW")).replace(b"RAW", rf"{MARKER}\ud800".encode()),
        result(records.one(name=MARKER)).replace(b"0.5", b"1e400"),
        result(records.one(subject=MARKER * 620_000)),
    ]


def at_debug(worker: Worker) -> None:
    """Have the worker log all that it can."""
    worker._command = ["debug" if argument == "info" else argument for argument in worker._command]
    worker._command.insert(worker._command.index("worker"), "--debug")


async def test_no_log_line_holds_contents_of_records_or_a_secret(
    broker: Kafka, topics: Admin, couchdb_url: str, prefix: str, database: str, tmp_path: Path
) -> None:
    topic = f"{prefix}completed0"
    await topics.create_topic(topic, max_message_bytes="10000000")
    running = Worker(
        tmp_path / "worker",
        Services(str(broker.sasl_url), couchdb_url),
        **login("PLAIN"),
        topic_prefix=prefix,
        app_id=f"{prefix}persister",
        database=database,
        partitions=2,
        session_timeout=3,
        web_token=TOKEN,
        breaker_minimum=10,
        breaker_ratio=0.1,
        breaker_cooldown=0.1,
    )
    at_debug(running)
    records = Records(7)
    try:
        await asyncio.to_thread(running.start)
        async with producer(broker.url) as sending:
            answered = {"statusCode": 0, "result": MARKER}
            stored = [records.one(subject=MARKER, response=answered) for _ in range(20)]
            await sending.records(topic, stored)
            again = {**stored[0], "subject": f"{MARKER}-differs"}
            await sending.send(topic, result(stored[0]))
            await sending.send(topic, result(again))
            headers = (("trace", MARKER.encode()),)
            for value in unstorable(records):
                await sending.send(topic, value, key=MARKER.encode(), headers=headers)
            await drained(topics, prefix, topic)
        await asyncio.to_thread(running.terminate)
    finally:
        await asyncio.to_thread(running.stop)
    log = running.log()
    letters = await read_topic(broker.url, f"{prefix}persister-dead-letters")
    assert len(letters) > len(unstorable(records)) / 2
    assert "DEBUG" in log
    assert "to the dead-letter topic" in log
    assert "Stopped reading" in log
    secrets = (MARKER, PASSWORD, TOKEN, str(urlsplit(couchdb_url).password))
    assert [line for line in log.splitlines() if any(secret in line for secret in secrets)] == []
