"""The fixed reasons for which a record is skipped or set aside.

They are part of the interface: operators filter dead letters and metrics by these codes, so a code
is never renamed or used again for something else.
"""

from enum import StrEnum


class SkipReason(StrEnum):
    """Why a message holds nothing that has to be stored."""

    ACKNOWLEDGEMENT = "acknowledgement"
    """A `CompletionMessage`: the activation ended; its record travels elsewhere."""

    NO_RECORD = "no-record"
    """`response` is only the activation id: the record was left out of this message."""

    STORE_LEVEL = "store-level"
    """The store level for blocking or non-blocking activations leaves it out."""

    EXCLUDED_NAMESPACE = "excluded-namespace"
    """The namespace is excluded from storing."""


class RejectReason(StrEnum):
    """Why a record is set aside as a dead letter."""

    NOT_JSON = "not-json"
    """The value is missing, not UTF-8 or not JSON."""

    NOT_A_MESSAGE = "not-a-message"
    """JSON with neither an activation record nor an acknowledgement in it."""

    INVALID_RECORD = "invalid-record"
    """A message whose activation record OpenWhisk's reader would not accept."""

    UNREADABLE = "unreadable"
    """A batch that was not unpacked: its records are too large together, or broken. The letter's
    value is the batch as it stands in Kafka."""

    UNFORESEEN = "unforeseen"
    """The persister failed at this record: a defect; the log has its traceback."""

    TOO_LARGE = "too-large"
    """The document is larger than Kafka's internal topic or the database takes."""

    REFUSED = "refused"
    """The database refuses this document for good."""

    DIVERGENT = "divergent"
    """The database holds another document under this id; the first one stays."""
