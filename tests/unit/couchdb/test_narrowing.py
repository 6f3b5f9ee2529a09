"""A request that hangs because of one document, while others pass: what is known meanwhile."""

from typing import Any, cast

from app.couchdb.errors import Unavailable
from app.couchdb.parts import Part
from app.couchdb.requests import Answer, FailedRequest, Others
from app.couchdb.settling import Settling
from app.couchdb.stats import WriterStats
from app.storing.sink import STORED, Document, Parked


class HangingRequests:
    """A database that never answers a request with this document, and takes the others."""

    def __init__(self, hangs: Document) -> None:
        self.seconds = 0.0
        self.settling: Settling | None = None
        self.failing: list[int] = []
        self._hangs = hangs

    async def bulk(self, part: Part) -> Answer:
        assert self.settling is not None
        self.failing.append(self.settling.failing)
        if self._hangs in part.documents:
            self.seconds += part.timeout or 60.0
            raise FailedRequest(Unavailable("no answer", cause="timeout"), Others.RECORDS)
        return Answer([], complete=True)

    async def rest(self, _: int) -> None: ...

    def leave(self) -> None: ...

    async def remake(self, _: Any) -> None: ...


class Diagnosing:
    def park(self, *_: Any, **__: Any) -> Parked:
        return Parked(cast("Any", None))


async def test_that_a_request_has_failed_is_known_until_what_hangs_is_found() -> None:
    documents = [Document(f"d{number:04}", b"{}") for number in range(1000)]
    requests = HangingRequests(documents[500])
    settling = Settling(
        cast("Any", requests),
        cast("Any", None),
        cast("Any", Diagnosing()),
        WriterStats(),
        lambda _: None,
    )
    requests.settling = settling
    results = await settling.settle(documents)
    assert results.count(STORED) == 999
    # Longer than PERSISTER_STUCK_AFTER, in which others pass, and a restart would begin anew.
    assert requests.seconds > 60.0
    assert requests.failing[0] == 0
    assert set(requests.failing[1:]) == {1}
    assert settling.failing == 0
