"""Where things stand in a batch: Kafka's protocol guide, "Record Batch". Positions in bytes."""

from typing import Final

LENGTH_AT: Final = 8
AFTER_LENGTH: Final = 12
"""The length counts the bytes from here on."""

EPOCH_AT: Final = 12
MAGIC_AT: Final = 16
SUMMED_FROM: Final = 21
ATTRIBUTES_AT: Final = 21
COUNT_AT: Final = 57
RECORDS_FROM: Final = 61
