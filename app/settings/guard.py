"""How much the guard remembers."""

from pydantic import Field

from app.settings.base import Group


class GuardSettings(Group):
    """How much the guard remembers, per partition of the internal topic."""

    records: int = Field(200_000, ge=0, alias="PERSISTER_GUARD_RECORDS")
    """Records remembered for each partition."""

    age: float = Field(86_400.0, gt=0, alias="PERSISTER_GUARD_AGE")
    """Seconds that they are remembered."""
