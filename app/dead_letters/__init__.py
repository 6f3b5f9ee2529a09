"""Dead letters: sets records aside, lists them, and replays them.

- `writing`: sends a record that cannot be stored to the dead-letter topic.
- `reading`: scans the dead-letter topic; `selection`: filters the letters.
- `presenting`: a letter as text or JSON; `activation` finds the activation id in it.
- `replaying`: sends letters again, each once. `planning` decides which ones, `destination` where
  to; `readiness` asks whether the database takes documents, `sending` sends in batches, and
  `progress` records which letters were sent.
"""

from app.dead_letters.writing import (
    DeadLetters,
    DeadLetterTooLargeError,
    SetAside,
    aside,
    unforeseen,
)

__all__ = ["DeadLetterTooLargeError", "DeadLetters", "SetAside", "aside", "unforeseen"]
