from typing import Any

import pytest

from app.dead_letters.selection import Selection
from models.reasons import RejectReason
from tests.unit.dead_letters.letters import letter

ID = "0123456789abcdef0123456789abcdef"
NOT_JSON, REFUSED = RejectReason.NOT_JSON, RejectReason.REFUSED


@pytest.mark.parametrize(
    "selection, taken",
    [
        ({}, True),
        ({"reasons": frozenset({NOT_JSON, REFUSED})}, True),
        ({"reasons": frozenset({REFUSED})}, False),
        ({"topics": frozenset({"completed0"})}, True),
        ({"topics": frozenset({"completed"})}, False),
        ({"since": 1000}, True),
        ({"since": 1001}, False),
        ({"until": 1001}, True),
        ({"until": 1000}, False),
        ({"activation_id": ID}, True),
        ({"activation_id": "0"}, False),
        ({"reasons": frozenset({NOT_JSON}), "topics": frozenset({"other"})}, False),
    ],
)
def test_every_filter_that_is_given_must_fit(selection: dict[str, Any], *, taken: bool) -> None:
    found = letter(set_aside_at=1000, value=b'{"activationId":"' + ID.encode() + b'"')

    assert Selection(**selection).takes(found) is taken
