"""Phrases counts and lists for logs and commands. Pure."""

import os
from collections.abc import Sequence

SEVERAL = 3
"""Names that are listed; of more, only how many there are."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 record`, `2 records`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def system_reason(error: OSError) -> str:
    """What the system says of a failure, or the resolver.

    asyncio says `Connect call failed ('127.0.0.1', 1)` for a refused connection.
    """
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    shown = list(names[:SEVERAL])
    if len(names) > SEVERAL:
        return f"{', '.join(shown)} and {len(names) - SEVERAL} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
