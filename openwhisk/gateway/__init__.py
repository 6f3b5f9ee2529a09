"""The gateway: an unmodified OpenWhisk writes its activations to Kafka by changing one host name.

A streaming reverse proxy in front of CouchDB (`python -m openwhisk.gateway`). Only writes of new
activations are taken and answered as CouchDB would once Kafka has acknowledged them; everything
else passes through untouched, credentials included.

The way of a request: `server` asks `targets` whether it may be such a write and `credentials`
whether CouchDB would let it in, `bodies` reads it, `records` decides document by document,
`storing` gets the records to Kafka (or to CouchDB, while `fallback` says so) and `writes` answers;
`reads` answers for what is not stored yet, `upstream` carries the rest.

The document is the one that OpenWhisk would have written itself, `updated` and revision included
(`revisions`). One difference remains: a document that exists already is answered 201, not 409, and
the persister settles that later (equal: nothing happens; different: a dead letter). OpenWhisk
writes an activation once. Where the database has a `validate_doc_update` function, writes
pass through, unless the operator names users who are exempt.
"""
