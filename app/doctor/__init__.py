"""Checks everything that a worker needs, and says how to fix what is wrong; changes nothing.

- `finding`: the result of one check.
- `machine`, `kafka`, `database`: the checks; `validation`: those of the database's validation
  functions.
- `setting_up`: creates what is missing, for `persister setup`.
"""

from app.doctor.finding import Finding, State, worst

__all__ = ["Finding", "State", "worst"]
