"""The guard: remembers what is stored, so that a record that comes again is not written again.

- `digest`: pure; what makes two documents the same record.
- `index`: pure; a compact set of digests.
- `entries`: pure; tells the table's entries from what others wrote to its changelog.
- `guard`: the Faust table behind it, one entry for some hundred digests.

The database's conflict has the last word; the guard only saves the write.
"""

from app.storing.guard.digest import identify
from app.storing.guard.guard import Guard

__all__ = ["Guard", "identify"]
