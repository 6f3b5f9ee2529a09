"""Wraps methods of a library: each patch once, whatever else wraps the same method.

Several patches wrap how a connection is made and what it sends. None of them may take another's
wrapper for its own, which would leave one of the two unapplied.
"""

from collections.abc import Callable
from typing import Any

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def wrap(owner: type, name: str, wrapper: Wrapper) -> None:
    """Replace a method by `wrapper(method)`, unless that has been done.

    Args:
        owner: its class; the change applies to all objects.
        name: the name of the method.
        wrapper: makes the new method from the old one, with `functools.wraps`, which also copies
            the list of applied wrappers.
    """
    method = getattr(owner, name)
    applied = getattr(method, "applied", ())
    if wrapper not in applied:
        wrapped: Any = wrapper(method)
        wrapped.applied = (*applied, wrapper)
        setattr(owner, name, wrapped)
