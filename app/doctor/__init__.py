"""Checks everything that a worker needs, and says how to fix what is wrong; changes nothing.

- `finding`: the result of one check.
- `kafka`, `database`: the checks.
"""

from app.doctor.finding import Finding, State, worst

__all__ = ["Finding", "State", "worst"]
