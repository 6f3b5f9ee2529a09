"""Errors that end the worker at its start."""


class StartError(SystemExit):
    """The worker cannot start, and would not by itself; the message says what to change.

    A `SystemExit`, so that an operator sees the message alone and the exit code is 1: a traceback
    through the frameworks would bury the one line that matters.
    """
