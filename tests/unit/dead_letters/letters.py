"""Dead letters to try things with."""

from typing import Any

from app.dead_letters.reading import Letter, LetterId
from models.dead_letter import DeadLetter
from models.reasons import RejectReason


def content(**changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "topic": "completed0",
        "partition": 0,
        "offset": 7,
        "timestamp": 1_767_325_445_000,
        "reason": RejectReason.NOT_JSON,
        "detail": "the record has no value",
        "key": None,
        "value": b"junk",
    }
    return DeadLetter(**(fields | changes))


def letter(offset: int = 12, set_aside_at: int = 1_767_325_446_000, **changes: Any) -> Letter:
    return Letter(LetterId(0, offset), set_aside_at, content(**changes))
