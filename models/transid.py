"""OpenWhisk's `TransactionId`: which request a message belongs to."""

from typing import Any, Self

import faust

from models.reading import transid_parts
from models.wire import Version


class TransactionId(faust.Record, include_metadata=False):
    """The id of a request, when it began (epoch millis), and the request that caused it."""

    id: str
    start: int
    extra_logging: bool = False
    """From the header `X-OW-EXTRA-LOGGING: on`; forces the activation to be stored."""

    parent: "TransactionId | None" = None

    @classmethod
    def unknown(cls) -> Self:
        """What OpenWhisk reads a malformed transid as."""
        return cls(id="sid_unknown", start=0)

    @classmethod
    def from_wire(cls, value: Any) -> Self:
        """Read `[id, start, extraLogging?, parent?]`; never raises, since OpenWhisk does not."""
        chain: list[tuple[str, int, bool]] = []
        while (parts := transid_parts(value)) is not None:
            id_, start, extra_logging, value = parts
            chain.append((id_, start, extra_logging))
        transid: Self | None = None
        for own_id, began, extra in reversed(chain):
            transid = cls(id=own_id, start=began, extra_logging=extra, parent=transid)
        return transid or cls.unknown()

    def to_wire(self, version: Version = Version.CURRENT) -> list[Any]:
        """The JSON array; 2019 knew no parents."""
        parts: list[Any] = [self.id, self.start]
        if self.extra_logging:
            parts.append(True)
        if self.parent and version is not Version.V2019:
            parts.append(self.parent.to_wire(version))
        return parts
