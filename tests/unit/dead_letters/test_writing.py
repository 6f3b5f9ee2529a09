import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from faust.types import TP

from app.dead_letters import (
    DeadLetters,
    DeadLetterTooLargeError,
    SetAside,
    aside,
    unforeseen,
    writing,
)
from app.kafka.producer import Outgoing
from app.kafka.unreadable import Unreadable
from app.process.seldom import Seldom
from models.dead_letter import ATTEMPTS, REPLAY_OF, DeadLetter
from models.reasons import RejectReason
from tests.unit.dead_letters.letters import content

TOPIC = TP("completed0", 2)
OURS = TP("persister-documents", 2)


class Record(NamedTuple):
    value: bytes | None = b"junk"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = b"\xff"
    offset: int = 9
    timestamp: int = 1_767_325_445_000
    timestamp_type: int = 0


class Producer:
    """Takes everything up to so many bytes, headers included."""

    def __init__(self, *, largest: int = 1 << 20) -> None:
        self.sent: list[tuple[str, Outgoing]] = []
        self._largest = largest

    async def send(self, topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
        refused = []
        for record in records:
            if size(record) > self._largest:
                refused.append(record)
            else:
                self.sent.append((topic, record))
        return refused


def size(record: Outgoing) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


async def written(record: Record, tp: TP = OURS) -> DeadLetter:
    producer: Any = Producer()
    await DeadLetters(producer, "letters", ours={OURS.topic}).write(
        tp, [SetAside(record, RejectReason.NOT_JSON, "why")]
    )
    ((topic, outgoing),) = producer.sent
    assert topic == "letters"
    return DeadLetter.from_record(outgoing.key, outgoing.value, outgoing.headers)


async def test_a_record_is_kept_as_it_came() -> None:
    headers = (("trace", b"\x01"), ("trace", None))

    letter = await written(Record(headers=headers), TOPIC)

    assert letter == content(
        partition=2,
        offset=9,
        detail="why",
        key=b"\xff",
        headers=headers,
    )


async def test_very_many_letters_are_made_and_sent_some_at_a_time() -> None:
    """Each takes kilobytes: 400,000 empty records, which are 330 KB in Kafka, took a gigabyte."""

    class Counting(Producer):
        most = 0

        async def send(self, topic: str, records: Iterable[Outgoing]) -> list[Outgoing]:
            given = list(records)
            self.most = max(self.most, len(given))
            return await super().send(topic, given)

    producer: Any = Counting(largest=2000)
    rejected = [
        SetAside(Record(bytes(number), offset=number), RejectReason.NOT_JSON, "")
        for number in (0, 3000) * 1250
    ]
    shortened = await DeadLetters(producer, "letters").write(TOPIC, rejected)
    assert (shortened, len(producer.sent), producer.most) == (1250, 2500, 1000)


async def test_however_many_come_each_reason_is_logged_once_with_its_first_record(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        logging.getLogger("app.dead_letters.writing"),
        "filters",
        [Seldom(later=lambda *_: lambda: None)],
    )
    producer: Any = Producer()
    letters = DeadLetters(producer, "letters")
    for at in range(0, 300, 3):
        reasons = RejectReason.NOT_JSON, RejectReason.NOT_JSON, RejectReason.TOO_LARGE
        await letters.write(
            TOPIC,
            [
                SetAside(Record(offset=at + n), reason, f"why\n{at + n}")
                for n, reason in enumerate(reasons)
            ],
        )
    assert caplog.messages == [
        f"Sent {what} to the dead-letter topic letters: {why}"
        for what, why in (
            ("2 records of completed0/2 offsets 0 to 1", "not-json, why\\n0"),
            ("1 record of completed0/2 offset 2", "too-large, why\\n2"),
        )
    ]


async def test_tiny_letters_are_written_without_a_faust_record_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That took two thirds of the time: a megabyte of tiny bad records took 1.7 s."""

    def made(**_fields: object) -> None:
        raise AssertionError("a DeadLetter was made")

    producer: Any = Producer()
    monkeypatch.setattr(writing, "DeadLetter", made)
    set_aside = [SetAside(Record(offset=n), RejectReason.NOT_JSON, "why") for n in range(2)]
    await DeadLetters(producer, "letters").write(TOPIC, set_aside)
    (_, first), (_, second) = producer.sent
    assert first.headers == DeadLetter.from_record(None, None, first.headers).to_headers()
    repeated = [
        one for one, other in zip(first.headers, second.headers, strict=True) if one is other
    ]
    assert len(repeated) == 5, "all but offset and timestamp"


async def test_a_replayed_document_that_is_rejected_again_keeps_its_headers_and_counts_on() -> None:
    headers = (("trace", b"\x01"), ("dead-letter-queue", b"of somebody else"))
    first = await written(Record(headers=headers))

    again = await written(Record(headers=tuple(first.replay_headers("4"))))
    once_more = await written(Record(headers=tuple(again.replay_headers("5"))))

    assert (first.attempts, again.attempts, once_more.attempts) == (0, 1, 2)
    assert first.headers == again.headers == once_more.headers == headers


async def test_a_letter_that_another_tool_copied_to_the_internal_topic_is_unwrapped() -> None:
    first = content(headers=(("trace", b"\x01"),), attempts=1)

    again = await written(Record(headers=tuple(first.to_headers())))

    assert (again.headers, again.attempts) == (first.headers, 2)


FORGED: list[tuple[tuple[str, bytes | None], ...]] = [
    ((ATTEMPTS, b"2"),),
    ((ATTEMPTS, b"9" * 4300), (REPLAY_OF, b"1")),
    tuple(content(attempts=2).to_headers()),
    (*content().to_headers(), ("dead-letter-attempts", b"9" * 4300)),
    (*content().to_headers(), ("dead-letter-offset", b"9" * 5000)),
    (*content().to_headers(), ("dead-letter-reason", b"\xff"), ("dead-letter-detail", b"\xff")),
]


@pytest.mark.parametrize("headers", FORGED)
@pytest.mark.parametrize("tp", [TOPIC, OURS])
async def test_whatever_headers_say_the_letter_is_written(
    headers: tuple[tuple[str, bytes | None], ...], tp: TP
) -> None:
    letter = await written(Record(headers=headers), tp)

    assert (letter.topic, letter.offset, letter.value) == (tp.topic, 9, b"junk")


@pytest.mark.parametrize("headers", FORGED)
async def test_no_header_of_a_record_that_others_may_have_written_is_believed(
    headers: tuple[tuple[str, bytes | None], ...],
) -> None:
    letter = await written(Record(headers=(*headers, ("trace", b"1"))), TOPIC)

    assert letter.attempts == 0
    assert ("trace", b"1") in letter.headers
    assert not {ATTEMPTS, REPLAY_OF} & {name for name, _ in letter.headers}


@pytest.mark.parametrize("attempts", [b"many", b"-1", b"", None, b"9" * 5000, "²".encode()])
async def test_a_header_that_is_no_count_counts_nothing(attempts: bytes | None) -> None:
    letter = await written(Record(headers=((ATTEMPTS, attempts), (REPLAY_OF, b"1"))))

    assert (letter.headers, letter.attempts) == ((), 0)


@pytest.mark.parametrize(
    "record",
    [
        Record(value=b"x" * 5000),
        Record(key=b"x" * 5000),
        Record(headers=(("trace", b"1"),) * 2000),
    ],
)
async def test_a_record_that_does_not_fit_leaves_its_place_size_and_hash(record: Record) -> None:
    producer: Any = Producer(largest=1000)

    shortened = await DeadLetters(producer, "letters").write(
        TOPIC,
        [SetAside(one, RejectReason.NOT_JSON, "why") for one in (Record(offset=8), record)],
    )

    assert shortened == 1
    small, large = (
        DeadLetter.from_record(one.key, one.value, one.headers) for _, one in producer.sent
    )
    assert (small.offset, small.value, small.left_out) == (8, b"junk", None)
    assert (large.topic, large.partition, large.offset) == (*TOPIC, 9)
    assert (large.key, large.value, large.headers) == (None, None, ())
    value = record.value or b""
    assert large.left_out == f"{len(value)} bytes, SHA-256 {sha256(value).hexdigest()}"


async def test_a_topic_that_takes_nothing_is_an_error_that_names_the_setting() -> None:
    producer: Any = Producer(largest=10)
    letters = DeadLetters(producer, "letters")

    with pytest.raises(DeadLetterTooLargeError, match=r"letters.*max\.message\.bytes"):
        await letters.write(TOPIC, [SetAside(Record(), RejectReason.NOT_JSON, "why")])


def test_a_batch_that_could_not_be_read_is_kept_as_it_stands_in_kafka() -> None:
    found = aside(Unreadable(9, 0, b"encoded", "why not"), RejectReason.NOT_JSON, "no value")

    assert (found.reason, found.detail) == (RejectReason.UNREADABLE, "why not")


def failing(secret: str) -> Exception:
    try:
        return dict[str, Exception]()[secret]
    except KeyError as error:
        return error


async def test_what_nobody_foresaw_is_logged_once_and_shows_nothing_of_the_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = [unforeseen(TOPIC, Record(), failing("s3cret")) for _ in range(3)]

    assert {one.reason for one in found} == {RejectReason.UNFORESEEN}
    assert sha256(b"junk").hexdigest() in found[0].detail
    (line,) = caplog.records
    assert "KeyError at completed0/2, offset 9" in line.getMessage()
    assert "in failing" in line.getMessage()
    assert "s3cret" not in found[0].detail + line.getMessage()


def test_no_record_is_to_blame_for_a_lack_of_memory() -> None:
    with pytest.raises(MemoryError):
        unforeseen(TOPIC, Record(), MemoryError())


async def test_the_log_names_the_first_and_the_last_offset(
    caplog: pytest.LogCaptureFixture,
) -> None:
    producer: Any = Producer()
    # What is refused at once comes before what the database refuses.
    late = [SetAside(Record(offset=at), RejectReason.REFUSED, "why") for at in (8, 3, 6)]

    await DeadLetters(producer, "letters", ours={OURS.topic}).write(OURS, late)

    assert "offsets 3 to 8" in caplog.text
