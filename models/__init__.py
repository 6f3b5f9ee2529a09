"""OpenWhisk's messages as Faust records, used wherever a message is built or shown.

The hot path reads raw bytes instead (`app.routing`), by the formats that are defined here;
`fields`, `instants`, `exact_json` and `reading` need no Faust.
"""
