"""`make fuzz`: whatever may come from Kafka or the database, against all that reads it.

Inputs are made of small pieces, repeated: what costs more than its share costs it by repetition.
Each is measured: nothing may raise what is not said, take more than a second for a megabyte, or
more than eight times its size of memory.
"""
