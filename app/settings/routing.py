"""Which topics are read, and which of their records are stored."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from app.settings.base import Group, separated


class LogMode(StrEnum):
    """Where OpenWhisk keeps activation logs, which decides the topics to read."""

    SEPARATE = "separate"
    """Logs are kept elsewhere: every `<prefix>completed.*` topic is read."""

    IN_RECORD = "in-record"
    """Logs are inside the record: only `<prefix>activations` is read."""


class StoreLevel(StrEnum):
    """Which activations are stored (OpenWhisk's `ActivationStoreLevel`)."""

    STORE_ALWAYS = "STORE_ALWAYS"
    STORE_FAILURES = "STORE_FAILURES"
    STORE_FAILURES_NOT_APPLICATION_ERRORS = "STORE_FAILURES_NOT_APPLICATION_ERRORS"


class RoutingSettings(Group):
    """Which topics are read, and which of their records are stored."""

    log_mode: LogMode = LogMode.SEPARATE
    """Where OpenWhisk keeps activation logs: outside the record (every `<prefix>completed.*` topic
    is read) or inside it (only `<prefix>activations` is read)."""

    blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    """Which records of the `completed<controller>` topics are stored."""

    non_blocking_store_level: StoreLevel = StoreLevel.STORE_ALWAYS
    """Which records of all other topics are stored."""

    excluded_namespaces: Annotated[frozenset[str], NoDecode, BeforeValidator(separated)] = (
        frozenset()
    )
    """Namespaces, separated by commas, whose activations are not stored."""
