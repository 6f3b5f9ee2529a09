"""When a document is set aside, and when storing is paused."""

from pydantic import Field

from app.settings.base import Group
from app.settings.breaker import BreakerSettings


class DiagnosisSettings(Group):
    """When a document that the database does not store is set aside."""

    attempts: int = Field(3, ge=2, alias="PERSISTER_DIAGNOSIS_ATTEMPTS")
    """Times that a document must fail alone, while others are stored, before it is set aside."""

    seconds: float = Field(15.0, ge=0, alias="PERSISTER_DIAGNOSIS_SECONDS")
    """Least seconds between the first and the last of them: what passes by itself within that, such
    as an overloaded view server or a shard that moves, is not the document's fault."""

    limit: float = Field(60.0, gt=0, alias="PERSISTER_DIAGNOSIS_LIMIT")
    """Seconds after which two are enough, since commits wait behind the document."""


class StoreBreakerSettings(BreakerSettings):
    """When storing is paused because many documents are refused for the same reason."""

    window: float = Field(60.0, gt=0, alias="PERSISTER_STORE_BREAKER_WINDOW")
    """Seconds over which stored and set-aside documents are counted."""

    minimum: int = Field(200, ge=0, alias="PERSISTER_STORE_BREAKER_MINIMUM")
    """Documents that must have been seen in them before the ratio counts; 0: it never does."""

    ratio: float = Field(0.5, gt=0, le=1, alias="PERSISTER_STORE_BREAKER_RATIO")
    """Share of documents set aside for one reason, from which on storing is paused."""

    consecutive: int = Field(500, ge=0, alias="PERSISTER_STORE_BREAKER_CONSECUTIVE")
    """Documents set aside in a row for one reason that are enough; 0: none are."""

    cooldown: float = Field(300.0, gt=0, alias="PERSISTER_STORE_BREAKER_COOLDOWN")
    """Seconds that storing is paused before it is tried again."""
