"""What a database may answer to the question for old activations."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from app.couchdb.errors import Unavailable
from app.couchdb.old_activations import OldActivation, OldActivations

if TYPE_CHECKING:
    from app.couchdb.database import Database

CUTOFF = 2000
LAST = OldActivation("guest/b", "1-b", 1500)


class Answering:
    """A database that answers every question the same."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def ask(
        self, _method: str, _path: str, _body: bytes | None = None, *, read: Callable[[bytes], Any]
    ) -> Any:
        return read(self._answer)


Make = Callable[[bytes], OldActivations]


@pytest.fixture
def answering() -> Make:
    return lambda answer: OldActivations(cast("Database", Answering(answer)))


def rows(*starts: object) -> bytes:
    made = [b'{"id":"guest/a","key":%b,"value":["a","1-a"]}' % str(one).encode() for one in starts]
    return b'{"rows":[%b]}' % b",".join(made)


async def test_rows_between_the_last_one_and_the_cutoff_are_taken(answering: Make) -> None:
    found = await answering(rows(1500, 1999)).oldest(CUTOFF, 10, LAST)
    assert [row.start for row in found] == [1500, 1999]


@pytest.mark.parametrize("start", [-1, -1e300, CUTOFF, 1e300])
async def test_rows_of_another_age_are_never_removed(answering: Make, start: float) -> None:
    with pytest.raises(Unavailable, match="not asked for"):
        await answering(rows(7, start)).oldest(CUTOFF, 10, None)


@pytest.mark.parametrize("id_", ["_design/activations", "_local/mark", "_"])
async def test_what_is_no_activation_is_never_removed(answering: Make, id_: str) -> None:
    with pytest.raises(Unavailable, match="not asked for"):
        await answering(rows(7, 8).replace(b"guest/a", id_.encode(), 1)).oldest(CUTOFF, 10, None)


async def test_the_same_rows_again_are_an_error(answering: Make) -> None:
    with pytest.raises(Unavailable, match="not asked for"):
        await answering(rows(1499)).oldest(CUTOFF, 10, LAST)


@pytest.mark.parametrize(
    "purged, count", [(b'{"guest/b":["1-b"]}', 1), (b'{"guest/b":[]}', 0), (b'{"x":["1-x"]}', 0)]
)
async def test_only_what_was_to_be_purged_counts(
    answering: Make, purged: bytes, count: int
) -> None:
    assert await answering(b'{"purged":%b}' % purged).purge([LAST]) == count
