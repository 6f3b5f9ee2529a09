"""`python -m dev.fuzz`: exit code 1 when something was found."""

import argparse
import sys
import time

from dev.fuzz.cost import Finding, findings

_SEEDS = 1_000_000_000


def main() -> int:
    """Try inputs until the time is over, and say what was found, once for each target and kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % _SEEDS)
    parser.add_argument("--size", type=int, default=128 * 1024, help="bytes of an input")
    asked = parser.parse_args()
    until = time.monotonic() + asked.seconds
    tries, found = 0, dict[tuple[str, str], Finding]()
    for finding in findings(range(asked.seed, asked.seed + _SEEDS), asked.size):
        tries += 1
        if finding and (kind := (finding.target, finding.what.split(" ")[-1])) not in found:
            found[kind] = finding
            print(finding, flush=True)
        if time.monotonic() > until:
            break
    print(f"{tries} tries from seed {asked.seed} on: {len(found)} kinds of findings")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
