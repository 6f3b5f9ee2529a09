import json
import logging

import pytest

from app.settings import LogMode
from openwhisk.gateway.log_mode import LogModeWatch, Logs

LINE = "2026-01-02T03:04:05.678901234Z stdout: hello"
STEP = "0123456789abcdef0123456789abcdef"
RULE = '{"statusCode":0,"success":true,"rule":"guest/r"}'


def looked(mode: LogMode, *logs: list[str]) -> LogModeWatch:
    watch = LogModeWatch(mode)
    for lines in logs:
        watch.look(json.dumps(lines, separators=(",", ":")).encode())
    return watch


@pytest.mark.parametrize("lines", [[LINE], [STEP, LINE], [LINE.replace("stdout", "stderr")]])
@pytest.mark.parametrize("mode", LogMode)
def test_a_log_line_in_a_record_is_for_the_mode_in_record(
    mode: LogMode, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    watch = looked(mode, [], lines, lines)
    assert watch.logs is Logs.INSIDE
    assert watch.fits is (mode is LogMode.IN_RECORD)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (mode is LogMode.SEPARATE)
    assert all("PERSISTER_LOG_MODE=in-record" in line for line in told)


@pytest.mark.parametrize("lines", [[], [STEP, STEP], [RULE], ["Logs are not available."]])
def test_what_is_no_log_line_says_nothing(lines: list[str]) -> None:
    watch = looked(LogMode.SEPARATE, lines)
    assert watch.logs is Logs.UNKNOWN
    assert watch.fits


def test_many_records_without_a_line_are_for_the_mode_separate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = looked(LogMode.IN_RECORD, *([[]] * 999))
    assert watch.fits
    watch.look(b"[]")
    assert (watch.logs, watch.fits) == (Logs.ELSEWHERE, False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    watch.look(json.dumps([LINE]).encode())
    assert (watch.logs, watch.fits) == (Logs.INSIDE, True)
