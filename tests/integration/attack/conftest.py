"""Attacks on a gateway and a worker as processes; `make attack` runs them larger."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.integration.attack.attacker import Victim
from tests.integration.support.gateway import Gateway, settings

SCALE = int(os.environ.get("ATTACK_SCALE", "1"))
"""How much larger than in CI an attack is."""

_FILES = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
"""Few open files: what uses them up shows sooner."""


@pytest.fixture
def scale() -> int:
    return SCALE


@pytest.fixture
async def victim(
    tmp_path: Path, kafka_url: str, couchdb_url: str, prefix: str, database: str
) -> AsyncIterator[Victim]:
    """A gateway with few files and little memory, and somebody who only wants to write."""
    async with aiohttp.ClientSession() as http:
        await http.put(f"{couchdb_url}/{database}")
    environment = settings(
        kafka_url, couchdb_url, prefix, database, bytes_in_flight=32 * 1024 * 1024
    )
    credentials = URL(couchdb_url).authority.rpartition("@")[0]
    gateway = Gateway(tmp_path, environment, credentials, before=_FILES)
    gateway.start()
    attacked = Victim(gateway, database, URL(couchdb_url))
    await attacked.begin()
    yield attacked
    await attacked.end()
    await asyncio.to_thread(gateway.stop)
