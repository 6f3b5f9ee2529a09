"""`python -m dev.fuzz`: exit code 1 when something was found."""

import argparse
import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Never

from tqdm import tqdm

from dev.fuzz.cost import MIB, Finding, findings
from dev.fuzz.gateway import GatewayTarget, conversations

_SEEDS: Final = 1_000_000_000
_WARM: Final = 0.5
"""Share of the time after which all that is kept has its full size: what was stored lately, names
that are read again."""

_WEIGHED: Final = 4
"""What a try costs of memory is measured at every so manieth until then, and not at all after it:
`tracemalloc` (CPython 3.11) keeps some kilobytes each time that it is started and stopped, which
would look like growth of what is tried.
"""

_LARGE_ONES: Final = 10
_LARGER: Final = 8
"""Every so manieth conversation is so many times as large: what costs too much in a megabyte, but
not in a hundred kilobytes, keeps others waiting.
"""

_MAY_GROW: Final = 64 * MIB

_BAR: Final = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s{postfix}"


def main() -> int:
    """Try inputs until the time is over, and say what was found, once for each target and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % _SEEDS)
    parser.add_argument("--size", type=int, default=128 * 1024, help="bytes of an input")
    asked = parser.parse_args()
    began = time.monotonic()
    until, warm = began + asked.seconds, began + asked.seconds * _WARM
    tries, before, found = 0, 0, dict[tuple[str, str], Finding]()
    with GatewayTarget() as gateway, _progress(asked.seconds) as bar:
        for finding in _tried(gateway, asked.seed, asked.size, warm):
            tries += 1
            bar.n = min(time.monotonic() - began, asked.seconds)
            bar.set_postfix(tries=tries, findings=len(found), refresh=False)
            bar.update(0)
            if not before and time.monotonic() > warm:
                before = _memory()
            if finding and (kind := (finding.target, finding.what[:60])) not in found:
                found[kind] = finding
                bar.write(str(finding))
            if time.monotonic() > until:
                break
        grown = _memory() - before if before else 0
    print(
        f"{tries} tries from seed {asked.seed} on, {gateway.conversations} of them conversations "
        f"with a gateway: {len(found)} kinds of findings; memory grew by {grown // MIB} MB",
        flush=True,
    )
    return bool(found) or grown > _MAY_GROW


def _progress(seconds: float) -> "tqdm[Never]":
    return tqdm(total=seconds, unit=" s", desc="fuzz", mininterval=1.0, bar_format=_BAR)


def _tried(gateway: GatewayTarget, first: int, size: int, warm: float) -> Iterator[Finding | None]:
    for seed in range(first, first + _SEEDS):
        one = range(seed, seed + 1)
        weigh = seed % _WEIGHED == 0 and time.monotonic() < warm
        yield from findings(one, size, weigh=weigh)
        large = not seed % _LARGE_ONES
        yield from conversations(gateway, one, size * _LARGER if large else size, weigh=weigh)


def _memory() -> int:
    """Bytes that this process has in memory, without what is free and not given back yet."""
    gc.collect()
    with suppress(OSError, AttributeError):  # of glibc; others give back by themselves, or not
        ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
