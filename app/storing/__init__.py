"""The second step: stores the documents of the internal topic in the database, each once.

- `step`: what happens to a chunk of documents.
- `sink`: what the step asks of a database.
- `guard`: remembers what is stored already.
"""
