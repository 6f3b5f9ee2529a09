import pytest

from models.dead_letter import DeadLetter, Header
from models.reasons import RejectReason


def letter(**changes: object) -> DeadLetter:
    fields = {
        "topic": "completed0",
        "partition": 3,
        "offset": 2**40,
        "timestamp": 1_767_325_446_000,
        "reason": RejectReason.INVALID_RECORD,
        "detail": "name müss be …",
        "key": b"\xff",
        "value": b"\x00\xff",
        "headers": (("trace", b"\x01"), ("trace", None), ("dead-letter-topic", b"older")),
    }
    return DeadLetter(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "original", [letter(), letter(key=None, value=None, headers=()), letter(detail="")]
)
def test_it_survives_kafka(original: DeadLetter) -> None:
    headers = original.to_headers()

    assert DeadLetter.from_record(original.key, original.value, headers) == original


@pytest.mark.parametrize("headers", [None, [], [("dead-letter-topic", b"completed0")]])
def test_other_records_are_no_dead_letters(headers: list[Header] | None) -> None:
    with pytest.raises(ValueError, match="no header dead-letter-"):
        DeadLetter.from_record(None, b"", headers)


@pytest.mark.parametrize("name", ["partition", "offset", "timestamp", "attempts"])
@pytest.mark.parametrize("number", [str(2**63), str(-(2**63) - 1), "9" * 20, "1.5", ""])
def test_numbers_that_kafka_does_not_have_are_no_dead_letters(name: str, number: str) -> None:
    headers = [*letter().to_headers(), (f"dead-letter-{name}", number.encode())]

    with pytest.raises(ValueError, match="not a dead letter: a number"):
        DeadLetter.from_record(None, b"", headers)


def test_the_reason_can_be_read_from_the_headers_by_other_tools() -> None:
    assert ("dead-letter-reason", b"invalid-record") in letter().to_headers()
