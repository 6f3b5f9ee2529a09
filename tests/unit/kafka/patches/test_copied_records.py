"""A request is what aiokafka makes of it, with one copy of the records."""

import inspect
import tracemalloc
from typing import Any

import pytest
from aiokafka.protocol.admin import CreateTopicsRequest_v1
from aiokafka.protocol.api import RequestStruct
from aiokafka.protocol.fetch import FetchRequest_v4
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.protocol.produce import ProduceRequest_v0, ProduceRequest_v3

from app.kafka.patches.copied_records import joining_once

ORIGINAL = inspect.unwrap(RequestStruct.encode)
MB = 1_000_000
LARGE = ProduceRequest_v3(None, -1, 30_000, [("topic", [(0, bytes(MB))])])


@pytest.mark.parametrize(
    "request_",
    [
        LARGE,
        ProduceRequest_v0(-1, 1, [("a", [(0, b"x"), (1, None), (2, b"")]), ("b", [])]),
        MetadataRequest_v1(None),
        MetadataRequest_v1([]),
        MetadataRequest_v1(["a", "\u00e9"]),
        FetchRequest_v4(-1, 1, 1, 1, 0, [("a", [(0, 7, 1), (1, 2**40, 1)])]),
        CreateTopicsRequest_v1([("a", 1, 1, [(1, [1, 2])], [("k", "v")])], 1, False),
    ],
    ids=lambda request: type(request).__name__,
)
def test_it_is_the_same_request(request_: Any) -> None:
    assert joining_once(ORIGINAL)(request_) == ORIGINAL(request_)


def test_what_does_not_fit_the_schema_is_refused() -> None:
    broken = ProduceRequest_v3(None, -1, 1, [("topic", [(0,)])])
    for encode in (ORIGINAL, joining_once(ORIGINAL)):
        with pytest.raises(ValueError, match="count"):
            encode(broken)


def test_records_are_copied_once() -> None:
    tracemalloc.start()
    try:
        joining_once(ORIGINAL)(LARGE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * MB
