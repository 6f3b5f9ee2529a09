"""Why a command about dead letters ends early."""


class LettersError(Exception):
    """A command about dead letters cannot go on; the message is for the operator."""
