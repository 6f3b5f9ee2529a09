"""All settings, typed, read once from the environment (`PERSISTER_*`).

Grouped by what they are about; every group reads the same flat namespace, so the variable for
`settings.database.url` is `PERSISTER_COUCHDB_URL`. `load` turns what pydantic finds wrong into one
`SettingsError` that names each variable, its value (never a secret) and what is allowed.
"""

from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.settings.base import PREFIX, SettingsError
from app.settings.breaker import BreakerSettings
from app.settings.database import DatabaseSettings
from app.settings.guard import GuardSettings
from app.settings.kafka import KafkaSettings
from app.settings.routing import LogMode, RoutingSettings, StoreLevel
from app.settings.security import SaslMechanism, SecurityProtocol
from app.settings.worker import WorkerSettings

__all__ = [
    "PREFIX",
    "BreakerSettings",
    "DatabaseSettings",
    "GuardSettings",
    "KafkaSettings",
    "LogMode",
    "RoutingSettings",
    "SaslMechanism",
    "SecurityProtocol",
    "Settings",
    "SettingsError",
    "StoreLevel",
    "WorkerSettings",
    "load",
]


@dataclass(frozen=True)
class Settings:
    """The groups, each read once."""

    kafka: KafkaSettings
    routing: RoutingSettings
    database: DatabaseSettings
    guard: GuardSettings
    breaker: BreakerSettings
    worker: WorkerSettings


def load() -> Settings:
    """Read all settings.

    Raises:
        SettingsError: with everything that an operator must mend, one line each.
    """
    groups: dict[str, Any] = {}
    problems: list[str] = []
    for name, group in get_type_hints(Settings).items():
        try:
            groups[name] = group()
        except ValidationError as error:
            problems += map(_explain, error.errors())
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**groups)


def _explain(problem: ErrorDetails) -> str:
    """One line: the variable, its value unless it may hold a secret, what is allowed."""
    text = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return text
    name = str(problem["loc"][0])
    variable = name if name.startswith(PREFIX) else PREFIX + name.upper()
    secret = "PASSWORD" in variable or "TOKEN" in variable
    value = "" if secret else f"={_without_credentials(str(problem['input']))!r}"
    return f"{variable}{value}: {text}"


def _without_credentials(value: str) -> str:
    # Whatever stands before the last @: a password may hold any other character, even unencoded.
    _, at, host = value.rpartition("@")
    return f"***@{host}" if at else value
