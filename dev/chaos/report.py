"""The final report."""

from collections.abc import Iterable, Sequence

from dev.chaos.fault import Result


def failed(results: Iterable[Result]) -> bool:
    """Whether any guarantee was violated."""
    return any(result.findings for result in results)


def table(results: Sequence[Result]) -> str:
    """One line for each fault."""
    lines = [f"{'fault':28} {'times':>5}  {'recovery (s)':>18} {'usually':>7}  holds"]
    lines += [_line(result) for result in results]
    return "\n".join(lines)


def _line(result: Result) -> str:
    took = sorted(seconds for seconds in result.recoveries if seconds is not None)
    recovery = "-"
    if took:
        recovery = f"{took[len(took) // 2]:.1f}, most {took[-1]:.1f}"
    verdict = f"NO: {len(result.findings)} findings" if result.findings else "yes"
    return (
        f"{result.fault.name:28} {result.rounds:5}  {recovery:>18} {result.fault.recovery:7.0f}  "
        f"{f'not provoked: {result.skipped}' if result.skipped else verdict}"
    )
