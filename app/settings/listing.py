"""Every setting with its value and where the value is from, without secrets."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import get_type_hints

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from app.settings import Settings
from app.settings.base import variable_of


@dataclass(frozen=True)
class Row:
    """One setting.

    Args:
        variable: of the environment.
        value: as it is in force; a secret only says that it is given.
        source: `environment` or `default`.
        default: what counts without the variable.
    """

    variable: str
    value: str
    source: str
    default: str


def rows(settings: Settings, environment: Mapping[str, str]) -> Iterator[Row]:
    """Every setting, in the order of the groups."""
    for name, kind in get_type_hints(Settings).items():
        yield from of_group(getattr(settings, name), environment, partial(variable_of, kind))


def of_group(
    group: BaseSettings, environment: Mapping[str, str], variable_of: Callable[[str], str]
) -> Iterator[Row]:
    """The settings of one group.

    Args:
        group: as it was read.
        environment: where it was read from.
        variable_of: the variable of a field.
    """
    given = {name.upper() for name, value in environment.items() if value}
    for name, field in type(group).model_fields.items():
        variable = variable_of(name)
        yield Row(
            variable,
            _shown(getattr(group, name)),
            "environment" if variable in given else "default",
            _shown(field.default),
        )


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return "(given, not shown)"
        case bool():
            return str(value).lower()
        case frozenset() | set() | tuple() | list():
            return ",".join(sorted(map(str, value)))
        case float():
            return f"{value:.10g}"
        case _:
            return str(value)
