"""The error with which a dead-letter command ends early."""


class LettersError(Exception):
    """A command about dead letters cannot go on; the message is for the operator."""
