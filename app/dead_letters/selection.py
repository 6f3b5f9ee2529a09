"""Selects dead letters by reason, topic, activation and time."""

from dataclasses import dataclass

from app.dead_letters.activation import activation_id
from app.dead_letters.reading import Letter
from models.reasons import RejectReason


@dataclass(frozen=True)
class Selection:
    """The criteria that a letter must meet; an empty one matches everything."""

    reasons: frozenset[RejectReason] = frozenset()
    topics: frozenset[str] = frozenset()
    """Where the original record was."""

    since: int | None = None
    """Epoch millis: set aside then or later."""

    until: int | None = None
    """Epoch millis: set aside before."""

    activation_id: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Tell whether this letter is asked for."""
        content = letter.content
        return (
            (not self.reasons or content.reason in self.reasons)
            and (not self.topics or content.topic in self.topics)
            and (self.since is None or letter.set_aside_at >= self.since)
            and (self.until is None or letter.set_aside_at < self.until)
            and (self.activation_id is None or activation_id(content) == self.activation_id)
        )
