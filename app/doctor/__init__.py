"""Looks at everything that a worker needs, and says of each whether it is so, or what to do.

- `finding`: what is said of one thing.
- `kafka`, `database`: what is looked at there. Nothing is changed.
"""

from app.doctor.finding import Finding, State, worst

__all__ = ["Finding", "State", "worst"]
