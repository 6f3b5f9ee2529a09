"""Dead letters: setting records aside, looking at them, and replaying them.

- `writing`: what the worker does with a record that cannot be stored.
- `reading`: a pass over the dead-letter topic; `selection`: which letters of it are asked for.
- `presenting`: a letter as text or JSON, with `activation` telling whose record it is.
- `replaying`: sends letters again, each once; `destination` says where to, `progress` remembers
  which were sent.
- `kafka`: what reading and replaying need of topics.
"""

from app.dead_letters.writing import (
    DeadLetters,
    DeadLetterTooLargeError,
    SetAside,
    aside,
    unforeseen,
)

__all__ = ["DeadLetterTooLargeError", "DeadLetters", "SetAside", "aside", "unforeseen"]
