from typing import Any

import pytest

from models.transid import TransactionId
from models.wire import Version

PARENT = TransactionId(id="p", start=1)


@pytest.mark.parametrize(
    "wire,transid",
    [
        (["t", 2], TransactionId(id="t", start=2)),
        (["t", 2, True], TransactionId(id="t", start=2, extra_logging=True)),
        (["t", 2, ["p", 1]], TransactionId(id="t", start=2, parent=PARENT)),
        (
            ["t", 2, True, ["p", 1]],
            TransactionId(id="t", start=2, extra_logging=True, parent=PARENT),
        ),
    ],
)
def test_each_form_is_read_and_written(wire: list[Any], transid: TransactionId) -> None:
    assert TransactionId.from_wire(wire) == transid
    assert transid.to_wire() == wire


@pytest.mark.parametrize("wire", [None, [], ["t"], [1, 2], ["t", "2"], ["t", True], {"id": "t"}])
def test_a_malformed_one_is_unknown(wire: object) -> None:
    assert TransactionId.from_wire(wire) == TransactionId.unknown()


def test_a_malformed_parent_is_none() -> None:
    assert TransactionId.from_wire(["t", 2, True, ["p"]]).parent is None


def test_2019_wrote_no_parents() -> None:
    transid = TransactionId(id="t", start=2, extra_logging=True, parent=PARENT)

    assert transid.to_wire(Version.V2019) == ["t", 2, True]


def test_any_number_of_ancestors_is_read() -> None:
    wire: list[Any] = ["root", 0]
    for _ in range(900):
        wire = ["t", 1, wire]

    transid: TransactionId | None = TransactionId.from_wire(wire)
    ids = []
    while transid is not None:
        ids.append(transid.id)
        transid = transid.parent

    assert len(ids) == 901
    assert ids[-1] == "root"
