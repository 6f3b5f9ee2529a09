from datetime import UTC, datetime
from typing import Any

import pytest

from models.activation import Activation, ActivationResponse
from models.logs import LogLine

LINE = "2026-01-02T03:04:05.678901234Z stdout: text: with colons"


def activation(logs: list[str], annotations: dict[str, Any]) -> Activation:
    return Activation(
        namespace="guest",
        name="hello",
        subject="guest",
        activation_id="0" * 32,
        start=1,
        end=2,
        response=ActivationResponse(status_code=0),
        logs=logs,
        version="0.0.1",
        publish=False,
        annotations=annotations,
    )


def test_a_line_is_taken_apart() -> None:
    line = LogLine.parse(LINE)

    assert line is not None
    assert (line.stream, line.text) == ("stdout", "text: with colons")
    assert line.moment == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        "2026-01-02T03:04:05.000000001Z stderr: ",
        "2026-01-02T03:04:05.5Z         stdout: padded to thirty",
        "2026-01-02T03:04:05.678901234Z stdout: two\nlines",
    ],
)
def test_a_line_is_rendered_as_it_was(line: str) -> None:
    parsed = LogLine.parse(line)

    assert parsed is not None
    assert parsed.render() == line


@pytest.mark.parametrize(
    "entry",
    ["", "0123456789abcdef0123456789abcdef", '{"statusCode":0}', "2026-13-02T03:04:05Z stdout: a"],
)
def test_other_entries_are_no_lines(entry: str) -> None:
    assert LogLine.parse(entry) is None


def test_an_action_has_log_lines() -> None:
    lines = activation([LINE, "not a line"], {"kind": "nodejs:20"}).log_lines()

    assert [line.render() for line in lines] == [LINE]


@pytest.mark.parametrize("annotations", [{"kind": "sequence"}, {"conductor": True}, {}])
def test_sequences_conductors_and_triggers_have_no_lines(annotations: dict[str, Any]) -> None:
    assert activation([LINE], annotations).log_lines() == []
