"""The short form of `make chaos`: faults while records flow, then an independent check."""

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.chaos.__main__ import RATE, chosen
from dev.chaos.faulty import faulty_database
from dev.chaos.play import Play
from dev.chaos.report import failed, table
from dev.chaos.stage import Surroundings
from dev.couchdb import CouchDB, couchdb
from dev.kafka.cluster import cluster
from dev.process import HOST

SEED = "CHAOS_SEED"
"""Variable that has the choices of an earlier run made again."""


@pytest.fixture
def own_couchdb(tmp_path: Path) -> Iterator[CouchDB]:
    """A database for nobody else."""
    with couchdb(tmp_path / "database") as running:
        yield running


@pytest.fixture
def quiet_clients() -> Iterator[None]:
    """aiokafka tells of every attempt while the broker is down."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("quiet_clients")
async def test_whatever_fails_every_record_is_stored_exactly_once(
    own_couchdb: CouchDB, tmp_path: Path
) -> None:
    seed = int(os.environ.get(SEED) or secrets.randbits(31))
    told: list[str] = [f"{SEED}={seed}"]
    async with (
        cluster(tmp_path) as own_kafka,
        faulty_database(f"http://{HOST}:{own_couchdb.port}") as proxy,
    ):
        around = Surroundings(own_kafka, own_couchdb, proxy, tmp_path)
        play = Play(around, seed=seed, rate=RATE, say=told.append)
        results = await play.run(chosen(None, None, short=True), together=True)
    assert not failed(results), "\n".join([*told, table(results)])
    assert play.kills >= 3
    assert play.documents > 1000
