"""The error with which a dead-letter command ends early."""


class LettersError(Exception):
    """A dead-letter command cannot continue; the message is for the operator."""
