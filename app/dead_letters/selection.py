"""Selects dead letters by reason, topic, activation and time."""

from dataclasses import dataclass

from app.dead_letters.activation import activation_id
from app.dead_letters.reading import Letter
from models.reasons import RejectReason


@dataclass(frozen=True)
class Selection:
    """Criteria for letters; an empty one matches every letter."""

    reasons: frozenset[RejectReason] = frozenset()
    topics: frozenset[str] = frozenset()
    """Topics of the original record."""

    since: int | None = None
    """Set aside at this time or later, in epoch millis."""

    until: int | None = None
    """Set aside before this time, in epoch millis."""

    activation_id: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter meets all criteria."""
        content = letter.content
        return (
            (not self.reasons or content.reason in self.reasons)
            and (not self.topics or content.topic in self.topics)
            and (self.since is None or letter.set_aside_at >= self.since)
            and (self.until is None or letter.set_aside_at < self.until)
            and (self.activation_id is None or activation_id(content) == self.activation_id)
        )
