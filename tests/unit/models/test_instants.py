"""The verdicts of `java.time.Instant.parse`, and its values."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fields import FieldError
from models.instants import epoch_millis, iso, iso_millis

DAY = 86_400_000


@pytest.mark.parametrize(
    "text,millis",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.Z", 0),
        ("1970-01-01t00:00:00.001z", 1),
        ("1970-01-01T00:00:00.123999999Z", 123),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T24:00:00Z", DAY),
        ("1970-01-01T23:59:60Z", DAY - 1000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:29:30-05:30:30", 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ("-0001-01-01T00:00:00Z", -62_198_755_200_000),
        ("+10000-01-01T00:00:00Z", 253_402_300_800_000),
        ("+1000000000-12-31T23:59:59Z", 31_556_889_864_403_199_000),
    ],
)
def test_instants_are_read_to_the_millisecond(text: str, millis: int) -> None:
    assert iso_millis(text) == millis


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1970-01-01",
        "1970-01-01T00:00Z",
        "1970-01-01T00:00:00",
        "1970-01-01 00:00:00Z",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z\n",
        "1970-1-1T00:00:00Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1970-01-01T24:00:00.1Z",
        "1970-01-01T24:00:01Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+19:00",
        "+1970-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-0000-01-01T00:00:00Z",
        "+1000000001-01-01T00:00:00Z",
        "\u0661970-01-01T00:00:00Z",
        "1767325445123",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(FieldError):
        iso_millis(text)


@given(st.datetimes())
def test_agrees_with_pythons_own_calendar(moment: datetime) -> None:
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)

    millis = iso_millis(f"{moment.isoformat(timespec='microseconds')}Z")

    assert millis == since // timedelta(milliseconds=1)


@pytest.mark.parametrize("value,millis", [(5, 5), (-1.5, -1), ("1970-01-01T00:00:01Z", 1000)])
def test_numbers_are_millis_already(value: object, millis: int) -> None:
    assert epoch_millis(value) == millis


@pytest.mark.parametrize("value", [None, True, [], {}])
def test_other_values_are_no_moments(value: object) -> None:
    with pytest.raises(FieldError):
        epoch_millis(value)


def test_a_moment_is_shown_in_utc() -> None:
    assert iso(1_767_325_446_789) == "2026-01-02T03:44:06.789Z"
    assert iso(1_767_325_446_789, "seconds") == "2026-01-02T03:44:06Z"
    assert iso(-1) == "1969-12-31T23:59:59.999Z"


def test_a_moment_out_of_range_is_shown_as_a_number() -> None:
    assert iso(2**62) == f"{2**62} ms"
