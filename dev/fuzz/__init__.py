"""`make fuzz`: whatever may come from Kafka, the database or a client, against all that reads it.

Inputs are made of small pieces, repeated: what costs more than its share costs it by repetition.
Requests come from a grammar of HTTP, for a gateway in the same process. Each is measured: nothing
may raise what is not said, take more than a second for a megabyte or more than eight times its size
of memory, keep others waiting, or leave anything behind.
"""
