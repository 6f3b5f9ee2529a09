"""Which topics are read, and which of their records are stored."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from app.settings.base import Group, separated
from models.modes import LogMode, StoreLevel


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
