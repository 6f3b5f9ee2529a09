"""The audit: does the database hold what Kafka says it must?

It is a second opinion: it derives what must exist from OpenWhisk's messages by the formats in
`models` and by its own rule, not by the worker's routing, so that a defect there shows up here.

- `expectation`: pure; the document that a message requires.
- `content`: pure; compares documents, whatever CouchDB does to their numbers.
- `findings`: everything that was found, in a temporary SQLite database: only digests and places, so
  that memory stays bounded (some 60 MB) however many records there are; it takes about 150 bytes a
  record on disk.
- `reading`: Kafka into the findings; `stored`: the database into the findings.
- `committed`: how far the worker has come.
- `auditing`: the steps, in the order that makes their answers hold together.
- `report`: the result, as text and as JSON.
- `repair`: sends the records of missing documents again.
- `standing`: the audit that runs beside the workers, with `marks`, `tally`, `metrics` and
  `endpoint`.
"""
