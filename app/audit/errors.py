"""The error with which an audit ends without a report."""


class AuditError(Exception):
    """The audit cannot be made; the message is for the operator."""
