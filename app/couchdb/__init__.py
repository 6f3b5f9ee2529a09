"""The sink: activation documents into CouchDB, in bulk, at the database's own pace.

`BulkWriter.write` is the way in. Beneath it, from the outside in: `writer` coalesces the documents
of all callers into requests, `settling` brings every document of a request to its result,
`requests` repeats what may pass, `gate` and `pace` decide when a request may start, and `database`
speaks HTTP and turns what can go wrong there into the few types of `errors`.
"""

from app.couchdb.database import Database, DatabaseInfo, connected
from app.couchdb.errors import DatabaseError
from app.couchdb.watch import DatabaseWatch
from app.couchdb.writer import BulkWriter

__all__ = ["BulkWriter", "Database", "DatabaseError", "DatabaseInfo", "DatabaseWatch", "connected"]
