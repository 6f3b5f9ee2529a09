"""Errors that end the worker with one message and exit code 1."""


class StartError(SystemExit):
    """The worker cannot start until something is changed; the message says what.

    A `SystemExit`, so that an operator sees the message alone and the exit code is 1: a traceback
    through the frameworks would bury the one line that matters.
    """


class StandstillError(SystemExit):
    """The work has stood still for too long and a restart may help; the exit code is 1."""
