"""The second step: from documents in the internal topic to the database, each once.

- `step`: what happens to a chunk of documents.
- `sink`: what the step asks of a database.
- `guard`: what is known to be stored already.
"""
