"""How an OpenWhisk is set up: where it keeps logs, and which activations it stores."""

from enum import StrEnum


class LogMode(StrEnum):
    """Where OpenWhisk keeps activation logs, which decides the topics to read."""

    SEPARATE = "separate"
    """Logs are kept elsewhere: every `<prefix>completed.*` topic is read."""

    IN_RECORD = "in-record"
    """Logs are inside the record: only `<prefix>activations` is read."""


class StoreLevel(StrEnum):
    """Which activations are stored (OpenWhisk's `ActivationStoreLevel`)."""

    STORE_ALWAYS = "STORE_ALWAYS"
    STORE_FAILURES = "STORE_FAILURES"
    STORE_FAILURES_NOT_APPLICATION_ERRORS = "STORE_FAILURES_NOT_APPLICATION_ERRORS"
