"""Several patches of one method do not keep each other out, and each is applied once."""

from collections.abc import Callable
from functools import wraps
from itertools import permutations
from typing import Any

import pytest

from app.kafka.wrapping import Wrapper, wrap


class Library:
    def words(self) -> list[str]:
        return ["library"]


def adding(word: str) -> Wrapper:
    def wrapper(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def words(self: Any) -> list[str]:
            return [*method(self), word]

        return words

    return wrapper


FIRST, SECOND = adding("first"), adding("second")


class Bound:
    """Wraps by a method, as `Logins.pausing` does: each access makes another object of it."""

    def wrapping(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return FIRST(method)


BOUND = Bound()


@pytest.mark.parametrize("wrappers", list(permutations((FIRST, SECOND))))
def test_each_is_applied_once_in_any_order(wrappers: tuple[Wrapper, ...]) -> None:
    class Used(Library):
        pass

    for wrapper in wrappers * 2:
        wrap(Used, "words", wrapper)
    assert sorted(Used().words()) == ["first", "library", "second"]


def test_a_bound_method_is_applied_once() -> None:
    class Used(Library):
        pass

    wrap(Used, "words", BOUND.wrapping)
    wrap(Used, "words", BOUND.wrapping)
    assert Used().words() == ["library", "first"]
