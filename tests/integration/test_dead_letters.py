"""Dead letters on a real Kafka: the breaker of a worker, and what an operator does afterwards."""

import asyncio
import gc
import json
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from yarl import URL

from app.dead_letters.destination import Destination
from app.dead_letters.errors import LettersError
from app.dead_letters.progress import Note, State, digest, open_log
from app.dead_letters.reading import Letter, LetterId, open_letters
from app.dead_letters.replaying import Replay, Watcher
from app.dead_letters.selection import Selection
from app.kafka.admin import open_admin
from app.kafka.topics import TopicNames
from app.settings import Settings, load
from dev.admin import Admin
from dev.worker import Worker
from models.dead_letter import REPLAY_OF, DeadLetter
from models.reasons import RejectReason
from tests.integration.support.commands import Commands
from tests.integration.support.database import all_stored, assert_holds
from tests.integration.support.deployment import StartWorker
from tests.integration.support.kafka import Producer, read_topic
from tests.integration.support.proxy import proxy
from tests.integration.support.records import Records, document, document_id, encode, result
from tests.integration.support.waiting import drained, outcomes, status, until

JUNK = b"no json"

FETCH_SECONDS = 2.0
"""More than one of the consumer's fetches takes when nothing comes."""
Done = subprocess.CompletedProcess[bytes]
Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def database_environment(couchdb_url: str, database: str) -> dict[str, str]:
    """Where the database is, as an operator would say it."""
    url = URL(couchdb_url)
    return {
        "PERSISTER_COUCHDB_URL": str(url.with_user(None)).rstrip("/"),
        "PERSISTER_COUCHDB_USER": url.user or "",
        "PERSISTER_COUCHDB_PASSWORD": url.password or "",
        "PERSISTER_DATABASE": database,
    }


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch,
    kafka_url: str,
    prefix: str,
    database_environment: dict[str, str],
) -> Settings:
    for name, value in database_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PERSISTER_KAFKA_URL", kafka_url)
    monkeypatch.setenv("PERSISTER_TOPIC_PREFIX", prefix)
    return load()


@pytest.fixture
def names(prefix: str) -> TopicNames:
    return TopicNames(prefix)


@pytest.fixture
def dead_letters(kafka_url: str, couchdb_url: str, prefix: str, database: str) -> Command:
    """Runs `persister dead-letters ...`, as an operator would."""
    commands = Commands(kafka_url, couchdb_url, topic_prefix=prefix, database=database)

    async def run(*arguments: str, **environment: str) -> Done:
        return await commands.run_raw("dead-letters", *arguments, **environment)

    return run


def listed(done: Done) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def summary(done: Done) -> dict[str, Any]:
    return listed(done)[-1]


async def set_aside(kafka: Producer, names: TopicNames, **fields: Any) -> None:
    """Write a dead letter as a worker would."""
    given: dict[str, Any] = {
        "topic": f"{names.prefix}completed0",
        "partition": 0,
        "offset": 0,
        "timestamp": 1_767_325_445_000,
        "reason": RejectReason.NOT_JSON,
        "detail": "as a worker would say it",
    }
    letter = DeadLetter(**(given | fields))
    headers: Any = letter.to_headers()
    await kafka.send(names.dead_letters, letter.value, key=letter.key, headers=headers)


async def replays_of(kafka_url: str, topic: str) -> Counter[str]:
    """How often each letter was sent to a topic."""
    records = await read_topic(kafka_url, topic)
    return Counter(
        value.decode() for record in records for name, value in record.headers if name == REPLAY_OF
    )


async def letters_of(settings: Settings, names: TopicNames) -> list[Letter]:
    async with open_letters(settings.kafka, names.dead_letters, 1) as letters:
        return [letter async for _, letter in letters.read() if letter]


class Remarks(Watcher):
    """Keeps what an operator is told."""

    def __init__(self) -> None:
        self.remarks: list[str] = []

    def say(self, text: str) -> None:
        self.remarks.append(text)


async def metrics(worker: Worker) -> str:
    return (await asyncio.to_thread(worker._get, "/metrics"))[1].decode()


async def test_a_flood_of_junk_holds_its_topic_and_no_other(
    worker: StartWorker,
    admin: Admin,
    kafka: Producer,
    prefix: str,
    couchdb_url: str,
    database: str,
) -> None:
    flooded, other = f"{prefix}completed0", f"{prefix}completed1"
    for topic in (flooded, other):
        await admin.create_topic(topic)
    running = await worker(partitions=2, breaker_minimum=50, breaker_cooldown=3600)

    await kafka.send_all(flooded, [JUNK] * 60)

    async def held() -> bool:
        return flooded in (await status(running))["breaker"]

    await until(held, "the breaker opens")
    await drained(admin, prefix, flooded)
    # A fetch that was under way when it opened still takes what comes.
    await asyncio.sleep(FETCH_SECONDS)
    await kafka.send_all(flooded, [result(record) for record in Records(1).many(20)])
    await kafka.records(other, Records(2).many(30))
    await drained(admin, prefix, other)

    await assert_holds(couchdb_url, database, kafka.expected)

    async def waiting() -> bool:
        return bool((await status(running))["topics"][flooded]["0"]["lag"] == 20)

    await until(waiting, "the status shows what the held topic has")
    said = await status(running)
    assert said["breaker"][flooded]["held"]
    assert "records were rejected, for example: not-json" in said["breaker"][flooded]["why"]
    assert list(said["breaker"]) == [flooded]
    assert f'persister_breaker_open{{topic="{flooded}"}} 1.0' in await metrics(running)
    assert f'persister_breaker_open{{topic="{other}"}} 0.0' in await metrics(running)
    assert running.log().count(f"Stopped reading {flooded}: ") == 1
    assert (await outcomes(running))["route", "dead-lettered", "not-json"] == 60


async def test_a_held_topic_is_tried_again_and_read_on_when_its_records_are_good(
    worker: StartWorker,
    admin: Admin,
    kafka: Producer,
    prefix: str,
    couchdb_url: str,
    database: str,
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    running = await worker(partitions=2, breaker_minimum=50, breaker_cooldown=2)

    await kafka.send_all(topic, [JUNK] * 60)

    async def held() -> bool:
        return topic in (await status(running))["breaker"]

    await until(held, "the breaker opens")
    await kafka.records(topic, Records(3).many(100))
    await drained(admin, prefix, topic)

    await assert_holds(couchdb_url, database, kafka.expected)
    assert (await status(running))["breaker"] == {}
    assert f"Reading {topic} again" in running.log()


async def test_letters_are_listed_shown_and_replayed_once(
    worker: StartWorker,
    admin: Admin,
    kafka: Producer,
    prefix: str,
    kafka_url: str,
    names: TopicNames,
    dead_letters: Command,
) -> None:
    first, second = f"{prefix}completed0", f"{prefix}completed1"
    for topic in (first, second):
        await admin.create_topic(topic)
    running = await worker(partitions=2)
    invalid = Records(4).one(version="none")
    for number in range(3):
        await kafka.send(first, b"junk %d \x1b" % number, key=b"k\xff", headers=[("trace", b"\0")])
    await kafka.send(second, b'{"health":"check"}')
    await kafka.send(second, result(invalid))
    await drained(admin, prefix, first, second)

    everything = listed(await dead_letters("list", "--json"))
    assert Counter(letter["reason"] for letter in everything) == {
        "not-json": 3,
        "not-a-message": 1,
        "invalid-record": 1,
    }
    assert not any(letter["replayed"] or letter["attempts"] for letter in everything)
    of_first = [letter for letter in everything if letter["topic"] == first]
    assert [letter["offset"] for letter in of_first] == [0, 1, 2]
    name, oldest = of_first[0]["letter"], everything[0]["set_aside"]
    of_activation, two_lines, none, all_again, shown, raw = await asyncio.gather(
        dead_letters("list", "--json", "--activation", invalid["activationId"]),
        dead_letters("list", "--reason", "not-json", "--limit", "2"),
        dead_letters("list", "--json", "--until", oldest),
        dead_letters("list", "--json", "--since", oldest),
        dead_letters("show", name),
        dead_letters("show", name, "--raw"),
    )
    (found,) = listed(of_activation)
    assert (found["reason"], found["topic"], found["offset"]) == ("invalid-record", second, 1)
    assert two_lines.stdout.count(b"\n") == 2
    assert listed(none) == []
    assert listed(all_again) == everything
    assert shown.stdout.endswith(b"\n\njunk 0 \\x1b\n")
    assert b"k\\xff\n" in shown.stdout
    assert b"trace=\\x00" in shown.stdout
    assert raw.stdout == b"junk 0 \x1b"

    rehearsal = listed(await dead_letters("replay", "--dry-run", "--json", "--topic", first))
    assert [letter["to"] for letter in rehearsal[:-1]] == [f"{first}/0"] * 3
    assert rehearsal[-1] == {"would_replay": 3, "stayed": {}}
    assert names.replays not in await admin.topics(prefix)

    replay = ("replay", "--json", "--topic", first)
    assert summary(await dead_letters(*replay, "--limit", "2")) == {"replayed": 2, "stayed": {}}
    # They are rejected again at once, and their new letters are not what is asked for here.
    await drained(admin, prefix, first)
    assert summary(await dead_letters(*replay, "--max-attempts", "1")) == {
        "replayed": 1,
        "stayed": {"replayed-before": 2, "attempts": 2},
    }
    await drained(admin, prefix, first)
    assert await replays_of(kafka_url, first) == {letter["letter"]: 1 for letter in of_first}
    sent = [(record.key, record.value) for record in await read_topic(kafka_url, first)]
    assert sent[:3] == sent[3:]

    newer = [a for a in listed(await dead_letters("list", "--json")) if a["attempts"]]
    assert [letter["attempts"] for letter in newer] == [1, 1, 1]
    for letter in await read_topic(kafka_url, names.dead_letters):
        original = [header for header in letter.headers if header[0].startswith("original-")]
        assert original == ([("original-trace", b"\0")] if letter.key else [])
    assert summary(await dead_letters(*replay, "--max-attempts", "1")) == {
        "replayed": 0,
        "stayed": {"replayed-before": 3, "attempts": 3},
    }
    assert summary(await dead_letters(*replay)) == {
        "replayed": 3,
        "stayed": {"replayed-before": 3},
    }
    await drained(admin, prefix, first)
    assert set((await replays_of(kafka_url, first)).values()) == {1}
    assert (await outcomes(running))["route", "dead-lettered", "not-json"] == 9


async def test_what_is_replayed_passes_the_normal_way(
    worker: StartWorker,
    admin: Admin,
    kafka: Producer,
    prefix: str,
    names: TopicNames,
    dead_letters: Command,
    kafka_url: str,
    couchdb_url: str,
    database: str,
) -> None:
    """Records that a later version, or a mended database, takes."""
    await admin.create_topic(f"{prefix}completed-others")
    await worker(partitions=2)
    routed, refused, divergent = Records(5).many(3)
    kept = document(refused, 1_767_325_446_000)
    key = refused["activationId"].encode()
    await set_aside(kafka, names, value=result(routed))
    await set_aside(
        kafka,
        names,
        topic=names.documents,
        reason=RejectReason.REFUSED,
        key=key,
        value=encode(kept),
    )
    await set_aside(kafka, names, reason=RejectReason.DIVERGENT, value=result(divergent))

    assert summary(await dead_letters("replay", "--yes", "--json")) == {
        "replayed": 2,
        "stayed": {"divergent": 1},
    }
    await drained(admin, prefix, f"{prefix}completed-others")

    (replayed,) = [r.timestamp for r in await read_topic(kafka_url, f"{prefix}completed-others")]
    await assert_holds(
        couchdb_url,
        database,
        {document_id(routed): document(routed, replayed), document_id(refused): kept},
    )


async def test_while_the_database_is_in_trouble_letters_stay(
    admin: Admin, kafka: Producer, kafka_url: str, names: TopicNames, dead_letters: Command
) -> None:
    topic = f"{names.prefix}completed0"
    await admin.create_topic(topic)
    await admin.create_topic(names.dead_letters)
    await set_aside(kafka, names, value=JUNK)
    replay = ("replay", "--yes", "--json", "--max-attempts", "1")
    nowhere = {"PERSISTER_COUCHDB_URL": "http://127.0.0.1:1"}

    refused = await dead_letters(*replay, **nowhere)

    assert refused.returncode == 2
    assert b"takes no documents: no connection" in refused.stderr
    assert await read_topic(kafka_url, topic) == []
    rehearsal = ("replay", "--yes", "--json", "--dry-run")
    assert summary(await dead_letters(*rehearsal, **nowhere)) == {"would_replay": 1, "stayed": {}}
    assert summary(await dead_letters(*replay, "--force", **nowhere))["replayed"] == 1


async def test_what_is_replayed_into_trouble_costs_no_attempt(
    worker: StartWorker,
    kafka: Producer,
    names: TopicNames,
    dead_letters: Command,
    couchdb_url: str,
    database: str,
) -> None:
    """Nothing comes back while nothing passes, and it is stored when the database is well."""
    record = Records(6).one()
    url = URL(couchdb_url)
    async with proxy(str(url.with_user(None)).rstrip("/")) as in_front:
        through = URL(in_front.url).with_user(url.user).with_password(url.password)
        running = await worker(partitions=1, couchdb_url=str(through).rstrip("/"))
        await set_aside(
            kafka,
            names,
            topic=names.documents,
            reason=RejectReason.REFUSED,
            key=record["activationId"].encode(),
            value=encode(document(record, 1)),
            attempts=2,
        )
        in_front.refusing = 500
        replay = ("replay", "--yes", "--json", "--force", "--max-attempts", "3")
        assert summary(await dead_letters(*replay))["replayed"] == 1

        async def down() -> bool:
            return bool((await status(running))["database"]["down"])

        await until(down, "the replayed document waits")
        in_front.refusing = None

        async def stored_it() -> bool:
            return await all_stored(couchdb_url, database, [record])

        await until(stored_it, "the replayed document is stored")
    assert len(listed(await dead_letters("list", "--json"))) == 1
    assert (await outcomes(running))["store", "stored", ""] == 1


async def test_a_replay_that_was_killed_while_sending_goes_on_without_sending_twice(
    admin: Admin,
    kafka: Producer,
    kafka_url: str,
    prefix: str,
    names: TopicNames,
    settings: Settings,
    dead_letters: Command,
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    await admin.create_topic(names.dead_letters)
    await kafka.send(topic, JUNK, headers=[(REPLAY_OF, b"2")])
    for number in range(4):
        await set_aside(kafka, names, value=b"junk %d" % number)
    letters = await letters_of(settings, names)
    to = Destination(topic, 0)
    async with (
        open_admin(settings.kafka) as connected,
        open_log(settings.kafka, connected, names.replays) as log,
    ):
        claims = {
            letter.id: Note(
                *(State.CLAIMED, letter.set_aside_at, *to),
                offset=1,
                digest=digest(letter.content.value),
            )
            for letter in letters[:3]
        }
        await log.write(claims)
    # Anybody can say that a record is a letter's.
    await kafka.send(topic, JUNK, headers=[(REPLAY_OF, b"2")])
    for letter in letters[:2]:
        headers: Any = letter.content.replay_headers(str(letter.id))
        await kafka.send(topic, letter.content.value, headers=headers)

    watcher = Remarks()
    report = await Replay(Selection(), settle_seconds=0).run(settings, watcher)

    assert watcher.remarks == ["It left open whether 3 letters were sent: 2 were."]
    assert (report.replayed, report.stayed) == (2, {"replayed before": 2})
    sent = [(r.value, dict(r.headers)[REPLAY_OF]) for r in await read_topic(kafka_url, topic)]
    assert sent[2:] == [(b"junk %d" % n, str(n).encode()) for n in range(4)]
    assert summary(await dead_letters("replay", "--yes", "--json")) == {
        "replayed": 0,
        "stayed": {"replayed-before": 4},
    }


async def test_a_second_replay_stops_the_first_before_it_sends_more(
    admin: Admin,
    kafka: Producer,
    kafka_url: str,
    prefix: str,
    names: TopicNames,
    settings: Settings,
) -> None:
    topic = f"{prefix}completed0"
    await admin.create_topic(topic)
    await admin.create_topic(names.dead_letters)
    for number in range(3):
        await set_aside(kafka, names, value=b"junk %d" % number)

    async def first() -> None:
        async with (
            open_admin(settings.kafka) as connected,
            open_log(settings.kafka, connected, names.replays) as log,
        ):
            report = await Replay(Selection(), limit=1).run(settings, Watcher())
            assert report.replayed == 1
            with pytest.raises(LettersError, match="Another replay"):
                await log.forget([LetterId(0, 1)])

    await first()
    # aiokafka leaves failed futures behind, of which asyncio complains when they are collected:
    # here, not in the middle of something else.
    gc.collect()
    assert (await replays_of(kafka_url, topic)).total() == 1


@pytest.mark.parametrize(
    "arguments, environment, code, line",
    [
        (("list",), {}, 2, b"Error: Kafka shows no topic "),
        (
            ("list",),
            {"PERSISTER_KAFKA_URL": "kafka://127.0.0.1:1"},
            2,
            b"Error: Kafka at kafka://127.0.0.1:1: ",
        ),
        (("replay",), {}, 2, b"Usage: "),
        (("replay", "--yes"), {"PERSISTER_LOG_MODE": "both"}, 2, b"The settings are wrong:"),
    ],
)
async def test_an_error_is_told_without_a_traceback(
    dead_letters: Command,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    code: int,
    line: bytes,
) -> None:
    done = await dead_letters(*arguments, **environment)

    assert done.returncode == code
    assert done.stdout == b""
    assert done.stderr.startswith(line)
    assert b"Traceback" not in done.stderr
