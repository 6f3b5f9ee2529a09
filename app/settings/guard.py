"""How much the guard remembers."""

from pydantic import Field

from app.settings.base import Group


class GuardSettings(Group):
    """How much the guard remembers for each partition of the internal topic."""

    records: int = Field(200_000, ge=0, alias="PERSISTER_GUARD_RECORDS")
    """Maximum records remembered, per partition."""

    age: float = Field(86_400.0, gt=0, alias="PERSISTER_GUARD_AGE")
    """Seconds that a record is remembered."""
