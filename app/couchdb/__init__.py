"""The sink: writes activation documents to CouchDB in bulk, at the pace the database allows.

`BulkWriter.write` is the entry point. From the outside in: `writer` coalesces the documents of all
callers into requests; `settling` works out the result of every document in a request, and decides
what is sent again, divided, or tried alone; `requests` makes one attempt and judges what failed;
`gate` and `pace` decide when a request may start, `circuit` how long to wait while nothing passes;
and `database` speaks HTTP and translates every failure into one of the types in `errors`. Besides,
`evidence` and `diagnosis` find out whether a document or the database is at fault, `watch` notices
that the database was replaced, and `views` keeps CouchDB's indexing in small steps.
"""

from app.couchdb.database import Database, DatabaseInfo, connected
from app.couchdb.errors import DatabaseError
from app.couchdb.views import ViewRefresh
from app.couchdb.watch import DatabaseWatch
from app.couchdb.writer import BulkWriter

__all__ = [
    "BulkWriter",
    "Database",
    "DatabaseError",
    "DatabaseInfo",
    "DatabaseWatch",
    "ViewRefresh",
    "connected",
]
