"""Measures what an input costs a target."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from dev.fuzz.inputs import made
from dev.fuzz.targets import STRICTER, TARGETS

MIB: Final = 1024 * 1024
SECONDS_PER_MIB: Final = 1.0
MEMORY_RATIO: Final = 8.0

_SMALL_TIME: Final = 0.05
_SMALL_MEMORY: Final = MIB // 4
"""What any input may cost: the first call of something is not the input's fault."""


_PIECE_OF_WORK: Final = 0.012
"""Seconds that `slowness` takes on the idle machine for which these limits are meant."""


class Finding(NamedTuple):
    """An input that a target does not stand.

    Attributes:
        target: its name.
        what: is wrong.
        made: the call that makes the input again.
    """

    target: str
    what: str
    made: str

    def __str__(self) -> str:
        return f"{self.target}: {self.what}; {self.made}"


def findings(seeds: range, size: int, *, weigh: bool = True) -> Iterator[Finding | None]:
    """Try each target with the input of each seed; None where one stood it.

    Args:
        seeds: of the inputs.
        size: bytes of an input, at most.
        weigh: whether to measure memory, too.
    """
    for seed in seeds:
        value = made(seed, size)
        for target in TARGETS:
            what = tried(target, value, weigh=weigh)
            yield Finding(target.__name__, what, f"made({seed}, {size})") if what else None


def tried(target: Callable[[bytes], None], value: bytes, *, weigh: bool = True) -> str | None:
    """What is wrong with how this target takes this value; None: nothing."""
    per_mib = STRICTER.get(target, SECONDS_PER_MIB)
    limit = per_mib * len(value) / MIB + _SMALL_TIME
    try:
        seconds = _seconds(target, value)
        if seconds > limit:
            # Other processes may be in the way.
            slower = slowness()
            seconds = min(seconds, _seconds(target, value)) / max(slower, slowness())
        memory = _memory(target, value) if weigh else 0
    except Exception as error:  # noqa: BLE001 - the very thing that is looked for
        return f"raises {type(error).__name__}: {str(error)[:100]}"
    if seconds > limit:
        return f"takes {seconds * MIB / len(value):.2f} s for a megabyte"
    if memory > MEMORY_RATIO * len(value) + _SMALL_MEMORY:
        return f"takes {memory / len(value):.1f} times its size of memory"
    return None


def slowness() -> float:
    """How many times as long as on an idle machine a piece of work takes now; 1 at least.

    Processes that share a core's caches or the core itself with others take more CPU time, too.
    """
    return max(1.0, _seconds(lambda _: sum(range(10**6)), b"") / _PIECE_OF_WORK)


def _seconds(target: Callable[[bytes], object], value: bytes) -> float:
    began = time.process_time()
    target(value)
    return time.process_time() - began


def _memory(target: Callable[[bytes], None], value: bytes) -> int:
    tracemalloc.start()
    try:
        target(value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
