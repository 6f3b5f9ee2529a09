"""Clients of the gateway that mean ill: nobody else notices, and nothing of it stays."""

import asyncio

from tests.integration.attack.attacker import Victim, ended

MB = 1024 * 1024
SECRET = "d2hpc2s6Z3Vlc3MtbWU"


async def test_connections_that_do_not_get_on(victim: Victim, scale: int) -> None:
    begun = victim.head(headers="Content-Length: 10")
    kinds = (b"", b"G", begun[:-20], begun, begun + b"{")
    readers = [await victim.connect(kinds[number % len(kinds)]) for number in range(300 * scale)]
    await victim.unharmed()
    closing = [ended(reader, 45) for reader in readers[-20:]]
    assert all(await asyncio.gather(*closing))
    log = victim.gateway.log()
    assert "Too many open files" not in log
    assert "connection from 127.0.0.2" in log


async def test_bodies_that_are_announced_and_do_not_come(victim: Victim, scale: int) -> None:
    announced = victim.head(headers=f"Content-Length: {64 * MB}")
    readers = [await victim.connect(announced) for _ in range(20 * scale)]
    await victim.unharmed(writes=50)
    assert all(await asyncio.gather(*(ended(reader, 15) for reader in readers)))
