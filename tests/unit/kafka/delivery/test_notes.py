"""What a commit's metadata say of the log that its offset is of."""

import pytest

from app.kafka.delivery.notes import Note

TOPIC = bytes(range(240, 256))


@pytest.mark.parametrize(
    "note, metadata",
    [
        (Note(), ""),
        (Note(7), "epoch=7"),
        (Note(topic=TOPIC), "topic=8PHy8_T19vf4-fr7_P3-_w"),
        (Note(0, TOPIC), "epoch=0 topic=8PHy8_T19vf4-fr7_P3-_w"),
    ],
)
def test_what_is_known_of_a_log_is_read_back_from_a_commit(note: Note, metadata: str) -> None:
    assert str(note) == metadata
    assert Note.read(metadata) == note


@pytest.mark.parametrize(
    "metadata",
    [
        *(None, "", "epoch=", "epoch=-1", "epoch=7 ", "epoch=2147483648", "leader"),
        *(" topic=8PHy8_T19vf4-fr7_P3-_w", "epoch=7topic=8PHy8_T19vf4-fr7_P3-_w"),
        *("topic=8PHy8_T19vf4-fr7_P3-_", "topic=8PHy8_T19vf4-fr7_P3-_w=", "topic=" + "ä" * 22),
        *("epoch=\u0667", "read by epoch=7", "epoch=7  topic=8PHy8_T19vf4-fr7_P3-_w"),
    ],
)
def test_other_metadata_tell_nothing(metadata: str | None) -> None:
    assert Note.read(metadata) == Note()


@pytest.mark.parametrize(
    "metadata",
    [
        "epoch=7 topic=8PHy8_T19vf4-fr7_P3-_w read=1",
        "read_by=w-1:2 topic=8PHy8_T19vf4-fr7_P3-_w epoch=7",
        "topic=8PHy8_T19vf4-fr7_P3-_w empty= epoch=7",
    ],
)
def test_of_what_a_later_version_notes_the_known_part_is_read(metadata: str) -> None:
    assert Note.read(metadata) == Note(7, TOPIC)


def test_what_is_noted_in_another_way_leaves_the_rest() -> None:
    assert Note.read("epoch=7 topic=chunked") == Note(7)
