"""Formats of single fields, as OpenWhisk's readers accept them, each defined once.

A check takes a decoded JSON value (`str`, `int`, `float`, `Decimal`, `bool`, `None`, `list`,
`dict`) and gives it back in OpenWhisk's own form, or raises `FieldError`.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeVar

from models.patterns import compiled

T = TypeVar("T")

ACTIVATION_ID: Final = r"[0-9a-f]{32}"
"""`ActivationId`: what `UUID` makes, without dashes."""

ENTITY_NAME: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_@ .&-]{0,254}[A-Za-z0-9_@.&-])?"
"""`EntityName.REGEX`: at most 256 characters, no space at the end."""

_activation_id = re.compile(ACTIVATION_ID)
_entity_name = re.compile(ENTITY_NAME)
_entity_path = compiled(rf"/*+{ENTITY_NAME}(?:/++{ENTITY_NAME})*+/*")
_slashes = re.compile("/{2,}")
_version_part = re.compile(r"[+-]?\d{1,20}")

_TRIMMED = "".join(map(chr, range(33)))  # what Java's String.trim takes away
_SUBJECT_LENGTH = 5
_INT = 2**31
_LONG = 2**63


class FieldError(ValueError):
    """A field is missing or malformed; says which and what is allowed, never what was found."""


class RecordError(FieldError):
    """The field is one of the activation record, not of the message around it."""


class Null(Enum):
    """Tells a field that is `null` from one that was left out, where both occur.

    `None` cannot: a Faust record takes it for "not given" and fills in the default.
    """

    NULL = None


NULL: Final = Null.NULL


def required(fields: Mapping[str, Any], name: str, check: Callable[[Any], T]) -> T:
    """`fields[name]` after its check; raises `FieldError` naming the field."""
    if name not in fields:
        raise FieldError(f"{name} is missing")
    return _named(name, fields[name], check)


def optional(fields: Mapping[str, Any], name: str, check: Callable[[Any], T]) -> T | None:
    """The same; left out and `null` both mean `None`, as for a Scala `Option`."""
    value = fields.get(name)
    return None if value is None else _named(name, value, check)


def _named(name: str, value: Any, check: Callable[[Any], T]) -> T:
    try:
        return check(value)
    except FieldError as error:
        raise FieldError(f"{name} {error}") from None


def text(value: Any) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise FieldError("must be a string")
    return value


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise FieldError("must be true or false")
    return value


def json_object(value: Any) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise FieldError("must be an object")
    return value


def texts(value: Any) -> list[str]:
    """An array of strings."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FieldError("must be an array of strings")
    return value


def is_number(value: Any) -> bool:
    """Whether this is a JSON number, of any size and notation."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def whole_int(value: Any) -> int:
    """A whole number of 32 bits in any notation: `0`, `0.0`, `1E+2` (spray-json's `Int`)."""
    return _whole(value, _INT, "a whole number of 32 bits")


def whole_long(value: Any) -> int:
    """The same with 64 bits (spray-json's `Long`)."""
    return _whole(value, _LONG, "a whole number of 64 bits")


def _whole(value: Any, bound: int, allowed: str) -> int:
    # Range first: making an int of 1E+999999999 would take minutes.
    if not is_number(value) or not -bound <= value < bound or value != int(value):
        raise FieldError(f"must be {allowed}")
    return int(value)


def activation_id(value: Any) -> str:
    """`ActivationId`: a string of 32 lower-case hex digits, or a number of 32 digits.

    OpenWhisk's reader lets other scripts' digits pass as well; no id is ever made of them, and an
    id has to be ASCII to be a Kafka key here.
    """
    written = str(value) if is_number(value) else value
    if not isinstance(written, str) or not _activation_id.fullmatch(written):
        raise FieldError("must be 32 lower-case hex digits")
    return written


def entity_name(value: Any) -> str:
    """`EntityName`."""
    if not isinstance(value, str) or not _entity_name.fullmatch(value):
        raise FieldError(
            "must be up to 256 of ASCII letters, digits and _@ .&-, "
            "beginning with a letter, digit or _, without a space at the end"
        )
    return value


def entity_path(value: Any) -> str:
    """`EntityPath`: entity names between slashes; superfluous slashes are dropped."""
    if not isinstance(value, str) or not _entity_path.fullmatch(value):
        raise FieldError("must be a namespace: names of ASCII letters, digits and _@ .&-")
    return _slashes.sub("/", value).strip("/")


def owned_path(value: Any) -> str:
    """`EntityPath` from which a document's id may be made.

    An id that begins with `_` means something to CouchDB: `_design/…` is a design document.
    OpenWhisk's `_` stands for the caller's own namespace, and never reaches a store.
    """
    path = entity_path(value)
    if path.startswith("_"):
        raise FieldError("must not begin with _: CouchDB keeps such ids to itself")
    return path


def subject(value: Any) -> str:
    """`Subject`: at least 5 characters (UTF-16 units, as Java counts) without outer space."""
    trimmed = value.strip(_TRIMMED) if isinstance(value, str) else ""
    if len(trimmed.encode("utf-16-le", "surrogatepass")) // 2 < _SUBJECT_LENGTH:
        raise FieldError("must be a string of at least 5 characters")
    return trimmed


def version(value: Any) -> str:
    """`SemVer`: up to three numbers between dots, not all zero; its reader ignores what follows."""
    parts = text(value).rstrip(".").split(".", 3)[:3]
    try:
        numbers = [_version_number(part) for part in parts]
    except ValueError:
        numbers = []
    if not any(numbers):
        raise FieldError("must be a semantic version such as 0.0.1")
    return ".".join(map(str, [*numbers, 0, 0][:3]))


def _version_number(part: str) -> int:
    number = int(part) if _version_part.fullmatch(part) else -1
    if not 0 <= number < _INT:
        raise ValueError(part)
    return number


def response_kind(value: Any) -> Literal["id", "record"]:
    """Whether `response` is an activation id or the record itself."""
    if isinstance(value, str):
        return "id"
    if isinstance(value, Mapping):
        return "record"
    raise FieldError("must be an activation record or its id")
