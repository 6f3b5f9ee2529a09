"""Room for decoders that recurse, for as long as a nested text is decoded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

_FRAMES: Final = 100
"""What a decoder itself takes."""

_lock = Lock()
"""The limit is the process's: two threads that set it must not undo each other's."""


@contextmanager
def room_for(levels: int) -> Iterator[None]:
    """Let decoders recurse so many levels deep, however deep the caller's own stack is."""
    width = levels + _FRAMES
    with _lock:
        sys.setrecursionlimit(sys.getrecursionlimit() + width)
    try:
        yield
    finally:
        with _lock:
            sys.setrecursionlimit(sys.getrecursionlimit() - width)
