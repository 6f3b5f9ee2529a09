import json
import tracemalloc

from app.dead_letters.presenting import COLUMNS, as_json, as_line, as_text
from tests.unit.dead_letters.letters import letter

STEERING = "\x1b[31m\r\n\t\x9b"


def test_a_line_has_a_column_for_each_name_whatever_is_in_the_letter() -> None:
    line = as_line(letter(topic=STEERING, detail=STEERING, value=STEERING.encode()), replayed=True)

    assert len(line.split("\t")) == len(COLUMNS)
    assert line.replace("\t", "").isprintable()


def test_neither_a_line_nor_an_object_shows_what_was_in_the_record() -> None:
    found = letter(value=b"secret-value", key=b"secret-key", headers=(("a", b"secret-header"),))

    assert "secret" not in as_line(found, replayed=False)
    assert "secret" not in json.dumps(as_json(found, replayed=False))


def test_the_text_shows_all_of_it_with_control_characters_escaped() -> None:
    found = letter(
        value="zwölf\n\x1b[31m\x00".encode() + b"\xff", key=b"k\n", headers=(("trace", b"\x07"),)
    )

    text = "".join(as_text(found, replayed=False))

    assert text.endswith("\n\nzwölf\n\\x1b[31m\\x00\\xff")
    assert "k\\n\n" in text
    assert "trace=\\x07" in text


def test_a_large_record_is_shown_in_pieces_of_which_none_is_large() -> None:
    """15 MB of control characters, which are a few kilobytes in Kafka, took 1.2 GB."""
    value = ("\x01ä\u202e" * 100_000).encode() + b"\xe2\x80"
    found = letter(value=value, key=value, headers=(("a", value),))
    tracemalloc.start()
    try:
        size = sum(map(len, as_text(found, replayed=False)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 3 * 100_000 * len("\\x01ä\\u202e")
    assert peak < 4 * 1024 * 1024
    text = "".join(as_text(found, replayed=False))
    assert text.endswith("\\x01ä\\u202e" * 100_000 + "\\xe2\\x80")


def test_what_is_missing_is_called_so() -> None:
    assert "".join(as_text(letter(value=None), replayed=False)).endswith("none")


def test_a_line_is_bounded_whatever_stands_in_the_topic() -> None:
    assert len(as_line(letter(detail="x" * 1_000_000, topic="y" * 1000), replayed=False)) < 800
    assert len(json.dumps(as_json(letter(detail="\x1b" * 1_000_000), replayed=False))) < 10_000
