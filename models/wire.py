"""The two versions of OpenWhisk's messages that are in the field."""

from enum import StrEnum


class Version(StrEnum):
    """Which OpenWhisk the reader of a message belongs to."""

    V2019 = "2019"
    """The instance field is called `invoker`, and is always an invoker."""

    CURRENT = "current"
    """It is called `instance`: an invoker, a controller or a scheduler."""


INSTANCE_FIELD = {Version.V2019: "invoker", Version.CURRENT: "instance"}
"""What each version calls the instance that acknowledges."""
