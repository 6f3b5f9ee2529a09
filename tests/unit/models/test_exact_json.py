import json
from decimal import Decimal

import pytest

from models import exact_json
from tests.support import cost


def test_numbers_keep_their_digits() -> None:
    assert str(exact_json.loads("0.1000")) == "0.1000"
    assert exact_json.loads("1" * 6000) == Decimal("1" * 6000)
    assert exact_json.loads("1E+99999999999999999999") == Decimal("Infinity")


def test_lone_surrogates_are_kept() -> None:
    assert exact_json.loads(r'"\ud800"') == "\ud800"


@pytest.mark.parametrize("text", ["", "NaN", "[1,]", "{", '"\n"', "01", "\ufeff1", "1 2"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text differs with the cause
        exact_json.loads(text)


@pytest.mark.parametrize("text", ["[" * 1001 + "]" * 1001, "[" * 1000 + "1" + "]" * 1000])
def test_more_than_a_thousand_levels_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="1000 levels"):
        exact_json.loads(text)


@pytest.mark.parametrize("text", ["[" * 1000 + "]" * 1000, "[" * 999 + "1" + "]" * 999])
def test_a_thousand_levels_are_read(text: str) -> None:
    assert exact_json.loads(text)


def test_brackets_in_strings_are_no_nesting() -> None:
    text = json.dumps(["[{" * 2000, '\\"[' * 2000])

    assert exact_json.loads(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", ['"\\' * 50_000, '"' * 100_001, '"' + "\\" * 100_001, '"a' * 50_000]
)
def test_a_text_is_looked_through_once_whatever_it_is(text: str) -> None:
    def read() -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - the text differs with the cause
            exact_json.loads("[" * 201 + text)

    assert cost(read) < 5
