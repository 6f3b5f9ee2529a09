"""The agents: one for each kind of topic that is read, and the one that stores.

Each is the flow of its records in a few lines. An event's value is a chunk, and the event is
acknowledged when every record of the chunk is safe in the next place; until then the chunk's
offsets are not committed. What a record means is decided in `app.routing`, what it takes to store
one in `app.storing.step`.
"""
