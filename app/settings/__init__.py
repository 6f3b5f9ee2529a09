"""All settings, typed, read once from the environment (`PERSISTER_*`).

They are grouped by subject; every group reads the same flat namespace, so the variable for
`settings.database.url` is `PERSISTER_COUCHDB_URL`. `load` turns pydantic's errors into one
`SettingsError` that names each variable, its value (never a secret's) and what is allowed.
"""

import os
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ValidationError

from app.process.errors import SettingsError
from app.settings.base import (
    PREFIX,
    explained,
    misspelt,
    open_secrets,
    unreadable,
    variables,
)
from app.settings.breaker import BreakerSettings
from app.settings.database import DatabaseSettings
from app.settings.diagnosis import DiagnosisSettings, StoreBreakerSettings
from app.settings.guard import GuardSettings
from app.settings.kafka import Compression, KafkaSettings
from app.settings.routing import RoutingSettings
from app.settings.security import SaslMechanism, SecurityProtocol
from app.settings.worker import WorkerSettings
from models.modes import LogMode, StoreLevel

__all__ = [
    "PREFIX",
    "BreakerSettings",
    "Compression",
    "DatabaseSettings",
    "DiagnosisSettings",
    "GuardSettings",
    "KafkaSettings",
    "LogMode",
    "RoutingSettings",
    "SaslMechanism",
    "SecurityProtocol",
    "Settings",
    "SettingsError",
    "StoreBreakerSettings",
    "StoreLevel",
    "WorkerSettings",
    "explained",
    "known_variables",
    "load",
    "open_secrets",
]


@dataclass(frozen=True)
class Settings:
    """The groups, each read once."""

    kafka: KafkaSettings
    routing: RoutingSettings
    database: DatabaseSettings
    guard: GuardSettings
    breaker: BreakerSettings
    diagnosis: DiagnosisSettings
    store_breaker: StoreBreakerSettings
    worker: WorkerSettings


def known_variables() -> set[str]:
    """The variables of all groups."""
    return set[str]().union(*map(variables, get_type_hints(Settings).values()))


def load() -> Settings:
    """Read all settings.

    Raises:
        SettingsError: with everything that an operator must mend, one line each.
    """
    if problems := unreadable(os.environ, known_variables()):
        raise SettingsError("\n".join(problems))
    groups: dict[str, Any] = {}
    for name, group in get_type_hints(Settings).items():
        try:
            groups[name] = group()
        except ValidationError as error:
            problems += explained(error, PREFIX)
    problems += misspelt(os.environ, known_variables(), PREFIX)
    if problems:
        raise SettingsError("\n".join(problems))
    return Settings(**groups)
