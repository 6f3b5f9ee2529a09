"""When a topic is paused because most of its records are rejected."""

from pydantic import Field

from app.settings.base import Group


class BreakerSettings(Group):
    """When a topic is paused because most of its records are rejected, and for how long."""

    window: float = Field(60.0, gt=0, alias="PERSISTER_BREAKER_WINDOW")
    """Seconds over which records and rejected records are counted, per topic."""

    minimum: int = Field(1000, ge=0, alias="PERSISTER_BREAKER_MINIMUM")
    """Records needed within the window before the ratio applies; 0: it never does."""

    ratio: float = Field(0.9, gt=0, le=1, alias="PERSISTER_BREAKER_RATIO")
    """Share of rejected records at which the topic is paused."""

    consecutive: int = Field(5000, ge=0, alias="PERSISTER_BREAKER_CONSECUTIVE")
    """Consecutive rejected records, in chunks without any other, that pause the topic whatever the
    ratio; 0: none do."""

    cooldown: float = Field(300.0, gt=0, alias="PERSISTER_BREAKER_COOLDOWN")
    """Seconds that a topic is paused. Then one fetch is tried, which decides whether it resumes."""
