"""Lets requests in, a few of each address in every turn of the loop.

A turn of the loop serves all connections on which something has come. Whoever asks on hundreds at
once makes each turn long, whatever a request costs, and a write of somebody else takes some ten of
them. Here the others of that address wait, and a turn is as long as a few requests are.
"""

import asyncio
from collections import Counter, deque
from typing import Final

AT_ONCE: Final = 4
"""How many requests of one address begin per turn. With fewer, turns would cost more than the work.
"""


class Entrance:
    """Makes requests wait until it is their address's turn."""

    def __init__(self) -> None:
        self._let_in: Counter[str] = Counter()
        """Requests that have begun in this turn of the loop, by address."""
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def enter(self, address: str) -> None:
        """Return when a request from this address may begin, which is usually at once.

        Args:
            address: the client's address.
        """
        if address not in self._waiting and self._let_in[address] < AT_ONCE:
            self._count(address, 1)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        await turn

    def _count(self, address: str, requests: int) -> None:
        if not self._let_in:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._let_in[address] += requests

    def _next_turn(self) -> None:
        self._let_in.clear()
        for address, queue in list(self._waiting.items()):
            begun = 0
            while queue and begun < AT_ONCE:
                turn = queue.popleft()
                if not turn.done():  # the client is still there
                    turn.set_result(None)
                    begun += 1
            if not queue:
                del self._waiting[address]
            if begun:
                self._count(address, begun)
