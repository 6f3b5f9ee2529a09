"""`docs/settings.md`: every setting of the worker and the gateway, as the code reads them."""

from collections.abc import Iterator
from enum import Enum
from typing import get_args, get_type_hints

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from app.settings import PREFIX, Settings
from dev.generated.docstrings import of_attributes
from openwhisk.gateway.settings import PREFIX as GATEWAY_PREFIX
from openwhisk.gateway.settings import GatewaySettings

_INTRODUCTION = """\
# Settings

This page is made from the code by `make generated`; a test compares the two.

All settings come from the environment; an empty variable counts as unset. If any are invalid or
misspelt, nothing starts: one message names them all, and the exit code is 2. `persister config`
lists the values in effect and where they come from. Give secrets as a variable or, better, as a
file (`…_FILE`): see [security](security.md#passwords-and-tokens).
"""

_HEADINGS = {
    "kafka": "Kafka",
    "routing": "What is stored",
    "database": "Database",
    "guard": "Guard",
    "breaker": "Breaker",
    "diagnosis": "Diagnosis",
    "store_breaker": "Breaker for storing",
    "worker": "Worker",
}

_GATEWAY = """\
Of the settings above, the gateway reads `PERSISTER_KAFKA_*`, `PERSISTER_TOPIC_PREFIX`,
`PERSISTER_LOG_MODE`, `PERSISTER_COUCHDB_URL`, `PERSISTER_COUCHDB_CA_FILE`, `PERSISTER_DATABASE` and
`PERSISTER_LOG_FORMAT`, and these of its own:
"""

_MORE = {
    "PERSISTER_VIEW_REFRESH_SECONDS": "[What for](gateway.md#latency-and-couchdbs-indexer).",
    "PERSISTER_FETCH_BYTES": "See [memory](memory.md).",
    "PERSISTER_TRACING": "Needs the extra `tracing`: see [tracing](tracing.md).",
    "PERSISTER_LOG_MODE": "[Which one](gateway.md#which-log-mode).",
}
"""Where a page says more."""

_UNITS = ((int, 1024 * 1024, "MiB"), (float, 86_400, "day"))


def page() -> str:
    """The page, as it should be."""
    sections = [
        _section(_HEADINGS[name], _about(group), group, PREFIX)
        for name, group in get_type_hints(Settings).items()
    ]
    return "\n".join(
        [_INTRODUCTION, *sections, _section("Gateway", _GATEWAY, GatewaySettings, GATEWAY_PREFIX)]
    )


def _section(heading: str, about: str, group: type[BaseSettings], prefix: str) -> str:
    rows = "".join(_rows(group, prefix))
    return f"## {heading}\n\n{about}\n| variable | default | may be | |\n|---|---|---|---|\n{rows}"


def _about(group: type[BaseSettings]) -> str:
    return f"{' '.join((group.__doc__ or '').split())}\n"


def _rows(group: type[BaseSettings], prefix: str) -> Iterator[str]:
    texts = of_attributes(group)
    for name, field in group.model_fields.items():
        variable = field.alias or prefix + name.upper()
        text = f"{texts[name]} {_MORE.get(variable, '')}".strip()
        yield f"| `{variable}` | {_default(field)} | {_allowed(field)} | {text} |\n"


def _default(field: FieldInfo) -> str:
    match field.default:
        case None:
            return "none"
        case "" | frozenset():
            return "empty"
        case bool(value):
            return f"`{str(value).lower()}`"
        case int() | float() as number:
            return f"`{number:.10g}`{_in_words(number)}"
        case value:
            return f"`{value}`"


def _in_words(number: float) -> str:
    """A number that is easier to read in a larger unit; seconds are floats, bytes whole numbers."""
    for kind, unit, word in _UNITS:
        if isinstance(number, kind) and number and number % unit == 0:
            many = int(number // unit)
            return f" ({many} {word}{'s' if word == 'day' and many > 1 else ''})"
    return ""


def _allowed(field: FieldInfo) -> str:
    kinds = get_args(field.annotation) or (field.annotation,)
    if bool in kinds:
        return "`true`, `false`"
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Enum):
            return ", ".join(f"`{one.value}`" for one in kind)
    limits = {
        word: value
        for constraint in field.metadata
        for bound, word in _BOUNDS.items()
        if (value := getattr(constraint, bound, None)) is not None
    }
    return " ".join(f"{word} {value}" for word, value in limits.items())


_BOUNDS = {"ge": "from", "gt": "over", "le": "to", "lt": "under"}
