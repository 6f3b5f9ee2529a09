"""The gateway: an unmodified OpenWhisk writes its activations to Kafka by changing one host name.

A streaming reverse proxy in front of CouchDB (`python -m openwhisk.gateway`). Only writes of new
activations are taken and answered as CouchDB would once Kafka has acknowledged them; everything
else passes through untouched, credentials included.

The way of a request: `server` asks `targets` whether it may be such a write and `credentials`
whether CouchDB would let it in, `bodies` reads it, `records` decides document by document, `writes`
publishes and answers; `upstream` carries the rest.

Two differences from CouchDB remain. The revision in the answer is not the one that the document
will have, and a document that exists already is answered 201, not 409: the persister settles that
later (equal: nothing happens; different: a dead letter). OpenWhisk neither uses the revision of an
activation nor writes one twice. Where the database has a `validate_doc_update` function, writes
pass through, unless the operator names who need not be heard.
"""
