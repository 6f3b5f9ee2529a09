"""Errors that end a process with one message."""

import errno

WRONG_SETTINGS = 2
"""Exit code of every command, worker and gateway included, when a setting is wrong."""


class StartError(SystemExit):
    """The worker cannot start until something is changed; the message says what.

    A `SystemExit`, so that an operator sees the message alone and the exit code is 1: a traceback
    through the frameworks would bury the one line that matters.
    """


class WrongSettingError(StartError):
    """A setting is wrong, which shows only in what others do; it was logged, and the code is 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = WRONG_SETTINGS


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which and what to do.

    Here, where nothing is imported, for the command line: reading settings takes a third of a
    second.
    """


class StandstillError(SystemExit):
    """The work has stood still for too long and a restart may help; the exit code is 1."""


CANNOT_BE_WRITTEN = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""System errors of whatever takes the output: a pipe without a reader, a full disk."""
