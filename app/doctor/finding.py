"""The result of one check."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is; the later, the worse."""

    OK = "ok"
    WARNING = "warning"
    """A worker runs; something will go wrong, or is not as it should be."""

    WRONG = "wrong"
    """A worker does not start or stores nothing, or OpenWhisk does not find what it stores."""


_BY_WEIGHT = list(State)


@dataclass(frozen=True)
class Finding:
    """One thing, and how it is.

    Args:
        what: in a few words.
        state: how it is.
        detail: what was seen and, unless all is well, what to do.
    """

    what: str
    state: State
    detail: str


def worst(findings: Iterable[Finding]) -> State:
    """The worst state among them."""
    return max((finding.state for finding in findings), key=_BY_WEIGHT.index, default=State.OK)
