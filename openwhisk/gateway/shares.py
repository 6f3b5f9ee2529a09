"""Memory for the bodies of writes, shared fairly among those who send them.

Bytes are held as they arrive, never because they were announced. Small bodies never wait. Of the
rest a client may hold as much as is still free (so one alone gets half, two get a third each, and
there is always some left for the next), counted by address and by user; its oldest body may take
what room there is, so that several of one client do not wait for each other.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable

SMALL = 64 * 1024
"""Size in bytes up to which bodies never wait; the limit of connections bounds these."""


class Share:
    """The memory that one body holds.

    Args:
        shares: the memory of all bodies.
        owners: whom it counts for: an address and a user.
    """

    def __init__(self, shares: "Shares", owners: Iterable[str]) -> None:
        self.held = 0
        self.owners = tuple(owners)
        self._shares = shares

    async def hold(self, size: int) -> None:
        """Hold at least `size` bytes in all; waits until there is room."""
        if size > self.held:
            await self._shares.grow(self, size)

    def release(self) -> None:
        """Release everything that it holds."""
        self._shares.release(self)


class Shares:
    """The memory of all bodies of a gateway.

    Args:
        limit: bytes of all bodies. The oldest body may exceed it, so that one can always be
        completed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self._of_owner: Counter[str] = Counter()
        self._holding: dict[Share, None] = {}
        """The shares in use, in the order in which they started."""
        self._waiting: dict[asyncio.Future[None], tuple[Share, int]] = {}

    def share(self, *owners: str) -> Share:
        """A share for a new body, which holds nothing yet."""
        return Share(self, owners)

    async def grow(self, share: Share, size: int) -> None:
        """Make a share hold `size` bytes, once there is room."""
        self._holding.setdefault(share, None)
        if self._fits(share, size):
            self._take(share, size)
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[room] = (share, size)
        try:
            await room
        finally:
            self._waiting.pop(room, None)

    def release(self, share: Share) -> None:
        """Release what a share holds."""
        self._holding.pop(share, None)
        self.in_flight -= share.held
        for owner in share.owners:
            self._of_owner[owner] -= share.held
            if not self._of_owner[owner]:
                del self._of_owner[owner]
        share.held = 0
        for room, (waiting, size) in list(self._waiting.items()):
            if not room.done() and self._fits(waiting, size):
                self._take(waiting, size)
                room.set_result(None)

    def _take(self, share: Share, size: int) -> None:
        more = size - share.held
        share.held = size
        self.in_flight += more
        for owner in share.owners:
            self._of_owner[owner] += more

    def _fits(self, share: Share, size: int) -> bool:
        if size <= SMALL or self._oldest(share):
            return True
        more = size - share.held
        free = self.limit - self.in_flight - more
        if free < 0:
            return False
        return all(
            self._of_owner[owner] + more <= free or self._oldest(share, owner)
            for owner in share.owners
        )

    def _oldest(self, share: Share, owner: str | None = None) -> bool:
        """Whether a share is the oldest large one of an owner, or of all."""
        for other in self._holding:
            if other is share:
                return True
            if other.held >= SMALL and (owner is None or owner in other.owners):
                return False
        return False
