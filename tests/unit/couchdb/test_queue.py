import asyncio

from hypothesis import given
from hypothesis import strategies as st

from app.couchdb.queue import SMALLEST_REQUEST, Call, Queue
from app.storing.sink import DUPLICATE, STORED, Document


def documents(*sizes: int, prefix: str = "") -> list[Document]:
    return [Document(f"{prefix}{number}", b"x" * size) for number, size in enumerate(sizes)]


def call(*sizes: int, prefix: str = "") -> Call:
    loop = asyncio.new_event_loop()
    try:
        return Call(documents(*sizes, prefix=prefix), 0.0, loop.create_future())
    finally:
        loop.close()


@given(
    st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=8), max_size=8),
    st.integers(1, 10),
    st.integers(1, 100),
)
def test_every_document_leaves_once_in_order_and_within_the_limits(
    calls: list[list[int]], most_documents: int, most_bytes: int
) -> None:
    queue = Queue(most_documents, most_bytes)
    expected: list[Document] = []
    for number, sizes in enumerate(calls):
        one = call(*sizes, prefix=f"{number}-")
        expected += one.documents
        queue.put(one)
    taken: list[Document] = []
    while queue.documents:
        request = queue.take()
        size = sum(len(document.body) for document in request.documents)
        assert 1 <= len(request.documents) <= most_documents
        assert size <= most_bytes or len(request.documents) == 1
        taken += request.documents
        request.settle([STORED] * len(request.documents))
    assert taken == expected
    assert queue.bytes == 0
    assert queue.oldest is None


async def test_a_call_is_done_with_its_last_document() -> None:
    queue = Queue(2, 1000)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    one = Call(documents(1, 1, 1), 0.0, done)
    queue.put(one)
    first, second = queue.take(), queue.take()
    second.settle([DUPLICATE])
    assert not done.done()
    first.settle([STORED, DUPLICATE])
    assert done.done()
    assert one.results == [STORED, DUPLICATE, DUPLICATE]


def test_a_discarded_call_leaves_the_others() -> None:
    queue = Queue(2, 1000)
    first, second, third = call(1, 2, 3), call(4, prefix="b"), call(5, prefix="c")
    for one in (first, second, third):
        queue.put(one)
    queue.take()
    queue.discard(first)
    queue.discard(third)
    queue.discard(first)
    assert (queue.documents, queue.bytes) == (1, 4)
    assert [document.id for document in queue.take().documents] == ["b0"]


def test_it_is_full_by_documents_or_by_bytes() -> None:
    by_documents, by_bytes = Queue(2, 1000), Queue(1000, 2)
    for queue in (by_documents, by_bytes):
        queue.put(call(1))
        assert not queue.full
        queue.put(call(1))
        assert queue.full


def test_requests_shrink_to_half_of_what_was_refused_but_not_to_nothing() -> None:
    queue = Queue(1000, 10**6)
    queue.shrink(400_000)
    queue.put(call(150_000, 150_000))
    assert len(queue.take().documents) == 1
    queue.shrink(10)
    queue.take()
    queue.put(call(SMALLEST_REQUEST // 2, SMALLEST_REQUEST // 2))
    assert len(queue.take().documents) == 2
