from typing import Any

import pytest

from app.dead_letters.destination import Destination
from app.dead_letters.planning import RECORD_OVERHEAD, Planned, Planner, Stay
from app.dead_letters.progress import Note, Progress, State
from app.dead_letters.reading import Letter, LetterId
from app.dead_letters.selection import Selection
from app.settings import Settings, load
from models.reasons import RejectReason
from tests.unit.dead_letters.letters import letter

TO = Destination("completed0", 0)
DOCUMENTS = "persister-documents"
MEGABYTE = 1024 * 1024


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("PERSISTER_TOPIC_PREFIX", "PERSISTER_LOG_MODE"):
        monkeypatch.delenv(name, raising=False)
    return load()


def planner(
    settings: Settings,
    progress: Progress | None = None,
    partitions: dict[str, int] | None = None,
    **chosen: Any,
) -> tuple[Planner, list[str]]:
    asked: list[str] = []

    async def largest(topic: str) -> int:
        asked.append(topic)
        return MEGABYTE

    made = Planner(
        settings,
        Selection(**chosen),
        progress or Progress(),
        max_attempts=3,
        partitions={"completed0": 1} if partitions is None else partitions,
        largest=largest,
    )
    return made, asked


async def test_a_letter_goes_to_its_topic(settings: Settings) -> None:
    found = letter(attempts=2)

    assert await planner(settings)[0].plan(found) == Planned(found, TO)


async def test_one_that_was_set_aside_too_often_stays(settings: Settings) -> None:
    assert await planner(settings)[0].plan(letter(attempts=3)) is Stay.ATTEMPTS


async def test_a_divergent_one_goes_only_when_its_reason_is_asked_for(settings: Settings) -> None:
    divergent = letter(reason=RejectReason.DIVERGENT)
    explicit, _ = planner(settings, reasons=frozenset({RejectReason.DIVERGENT}))

    assert await planner(settings)[0].plan(divergent) is Stay.DIVERGENT
    assert await explicit.plan(divergent) == Planned(divergent, TO)


async def test_one_without_a_topic_stays(settings: Settings) -> None:
    lost = letter(topic="persister-documents")

    assert await planner(settings)[0].plan(lost) is Stay.NO_TOPIC


async def test_one_that_the_topic_would_refuse_stays(settings: Settings) -> None:
    made, asked = planner(settings)
    fits = letter(value=b"x" * (MEGABYTE - RECORD_OVERHEAD))
    too_large = letter(value=b"x" * (MEGABYTE - RECORD_OVERHEAD), headers=(("a", None),))

    assert await made.plan(fits) == Planned(fits, TO)
    assert await made.plan(too_large) is Stay.TOO_LARGE
    assert asked == ["completed0"]


async def test_one_that_was_replayed_stays(settings: Settings) -> None:
    known = letter(offset=1)
    progress = Progress({known.id: Note(State.REPLAYED, known.set_aside_at, *TO, offset=0)})
    made, _ = planner(settings, progress)

    assert await made.plan(known) is Stay.REPLAYED_BEFORE
    assert isinstance(await made.plan(letter(offset=2)), Planned)


async def test_a_letter_of_a_topic_that_was_recreated_is_another_one(settings: Settings) -> None:
    known = letter()
    progress = Progress({known.id: Note(State.REPLAYED, known.set_aside_at, *TO, offset=0)})

    again = letter(set_aside_at=known.set_aside_at + 1)

    assert isinstance(await planner(settings, progress)[0].plan(again), Planned)


async def test_attempts_are_counted_by_where_the_replayed_record_was(settings: Settings) -> None:
    progress = Progress()
    progress.note(LetterId(0, 1), Note(State.REPLAYED, 5, *TO, offset=70, attempt=3, landed=77))
    again = letter(offset=2, topic=TO.topic, partition=0)

    def at(offset: int) -> Letter:
        content = again.content.derive(offset=offset)
        return again._replace(content=content)

    assert await planner(settings, progress)[0].plan(at(77)) is Stay.ATTEMPTS
    found = await planner(settings, progress)[0].plan(at(78))
    assert isinstance(found, Planned)
    assert found.letter.content.attempts == 0


@pytest.mark.parametrize(
    "value",
    [
        b'{"_id":"_design/evil","validate_doc_update":"function(){throw 1}"}',
        b'{"_id":"guest/%b","\\u005fid":"_design/evil"}' % (b"a" * 32),
        b'{"_id":"guest/%b","_deleted":true}' % (b"a" * 32),
        b'{"_id":"guest/%b","\\u005frev":"1-a"}' % (b"a" * 32),
        b'{"_id":"guest/a"}',
        b'{"_id":1}',
        b"{}",
        b"junk",
        None,
    ],
)
async def test_nothing_that_couchdb_keeps_to_itself_goes_to_the_internal_topic(
    settings: Settings, value: bytes | None
) -> None:
    made, _ = planner(settings, partitions={DOCUMENTS: 8})
    good = letter(topic=DOCUMENTS, value=b'{"_id":"guest/%b","name":"_x"}' % (b"a" * 32))

    assert await made.plan(letter(topic=DOCUMENTS, value=value)) is Stay.RESERVED
    assert isinstance(await made.plan(good), Planned)
