"""When a document is set aside, and when storing is paused."""

from pydantic import Field

from app.settings.base import Group
from app.settings.breaker import BreakerSettings


class DiagnosisSettings(Group):
    """When a document that the database refuses to store is set aside."""

    attempts: int = Field(3, ge=2, alias="PERSISTER_DIAGNOSIS_ATTEMPTS")
    """Failed attempts of a document on its own, while others are stored, before it is set aside."""

    seconds: float = Field(15.0, ge=0, alias="PERSISTER_DIAGNOSIS_SECONDS")
    """Minimum seconds between the first and the last of these attempts. A failure that goes away
    within that time (an overloaded view server, a moving shard) is not the document's fault."""

    limit: float = Field(60.0, gt=0, alias="PERSISTER_DIAGNOSIS_LIMIT")
    """Seconds after which two attempts are enough, since commits wait for the document."""


class StoreBreakerSettings(BreakerSettings):
    """When storing is paused because many documents are refused for the same reason."""

    window: float = Field(60.0, gt=0, alias="PERSISTER_STORE_BREAKER_WINDOW")
    """Seconds over which stored and set-aside documents are counted; more, if the minimum takes
    longer at a maximum of documents per second."""

    minimum: int = Field(200, ge=0, alias="PERSISTER_STORE_BREAKER_MINIMUM")
    """Documents needed within the window before the ratio applies; 0: it never does."""

    ratio: float = Field(0.5, gt=0, le=1, alias="PERSISTER_STORE_BREAKER_RATIO")
    """Share of documents set aside for one reason at which storing is paused."""

    consecutive: int = Field(500, ge=0, alias="PERSISTER_STORE_BREAKER_CONSECUTIVE")
    """Consecutive documents set aside for one reason that pause storing whatever the ratio; 0: none
    do."""

    cooldown: float = Field(300.0, gt=0, alias="PERSISTER_STORE_BREAKER_COOLDOWN")
    """Seconds that storing is paused before the next attempt."""
