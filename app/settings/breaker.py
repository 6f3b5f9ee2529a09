"""When a topic is paused because most of its records are rejected."""

from pydantic import Field

from app.settings.base import Group


class BreakerSettings(Group):
    """When a topic is paused because most of its records are rejected, and for how long."""

    window: float = Field(60.0, gt=0, alias="PERSISTER_BREAKER_WINDOW")
    """Seconds over which records and rejected ones are counted, for each topic."""

    minimum: int = Field(1000, ge=0, alias="PERSISTER_BREAKER_MINIMUM")
    """Minimum of records in that window before the ratio counts; 0 disables the ratio."""

    ratio: float = Field(0.9, gt=0, le=1, alias="PERSISTER_BREAKER_RATIO")
    """Share of rejected records at which the topic is paused."""

    consecutive: int = Field(5000, ge=0, alias="PERSISTER_BREAKER_CONSECUTIVE")
    """Consecutive rejected records, in chunks without any other, that suffice; 0 disables it."""

    cooldown: float = Field(300.0, gt=0, alias="PERSISTER_BREAKER_COOLDOWN")
    """Seconds until one fetch is let through, which decides whether the topic goes on."""
