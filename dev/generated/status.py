"""`docs/status.md`: what `GET /status` and `persister status --json` say, field by field."""

from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from dev.generated.docstrings import of_attributes
from dev.generated.outputs import Count, Seconds, Status, Time

_INTRODUCTION = """\
# The status, as JSON

This page is made from the code by `make generated`; a test compares the two.

`GET /status` of a worker and `persister status --json` return one object. All fields are always
present. Times are ISO 8601 in UTC. [`commands.schema.json`](commands.schema.json) has the same as a
JSON Schema, under `$defs/status`. For people there is [the status page](status-page.md).
"""

_SIMPLE = (
    (Count, "count"),
    (Seconds, "seconds"),
    (Time, "time"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "text"),
    (NoneType, "null"),
)


def page() -> str:
    """The page, as it should be."""
    return "\n".join([_INTRODUCTION, *map(_section, _reached(Status))])


def _reached(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """An object and those in it, each once, in the order in which a reader meets them."""
    found = {kind: None}
    for inner in get_type_hints(kind, include_extras=True).values():
        for struct in _structs(inner):
            found |= dict.fromkeys(_reached(struct))
    return list(found)


def _structs(kind: Any) -> list[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [struct for inner in get_args(kind) for struct in _structs(inner)]


def _section(kind: type[msgspec.Struct]) -> str:
    ours = [base for base in reversed(kind.__mro__) if base.__module__ == kind.__module__]
    texts = {name: text for base in ours for name, text in of_attributes(base).items()}
    rows = "".join(
        f"| `{name}` | {_shown(inner)} | {texts[name]} |\n"
        for name, inner in get_type_hints(kind, include_extras=True).items()
    )
    about = " ".join((kind.__doc__ or "").split())
    return f"## {kind.__name__}\n\n{about}\n\n| field | type | |\n|---|---|---|\n{rows}"


def _shown(kind: Any) -> str:
    for simple, name in _SIMPLE:
        if kind == simple:
            return name
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    arguments = get_args(kind)
    if get_origin(kind) in {Union, UnionType}:
        return " or ".join(map(_shown, arguments))
    if get_origin(kind) is dict:
        return f"object of {_shown_within(arguments[1])}"
    if get_origin(kind) is list:
        return f"list of {_shown_within(arguments[0])}"
    raise TypeError(f"{kind} has no name here yet")


def _shown_within(kind: Any) -> str:
    shown = _shown(kind)
    return f"({shown})" if " or " in shown else shown
