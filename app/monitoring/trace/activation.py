"""Parses the activation id that somebody asks for. Pure."""

import re
from typing import NamedTuple

_ACTIVATION = re.compile(r"(?:(?P<namespace>.{1,256})/)?(?P<id>[0-9A-Fa-f]{32})")


class ActivationId(NamedTuple):
    """The id of an activation, perhaps with its namespace.

    Args:
        namespace: its namespace; None if it has to be found in Kafka.
        id: 32 hex digits, in lower case.
    """

    namespace: str | None
    id: str

    @property
    def text(self) -> str:
        """The text with which to ask for it again."""
        return f"{self.namespace}/{self.id}" if self.namespace else self.id


def parse(text: str) -> ActivationId | None:
    """Read `<id>` or `<namespace>/<id>`; None if it is neither."""
    found = _ACTIVATION.fullmatch(text.strip())
    if found is None or not found[0].isprintable():
        return None
    return ActivationId(found["namespace"], found["id"].lower())
