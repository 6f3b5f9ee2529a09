"""Fetches Kafka's jars by their Maven coordinates and checks each against its SHA-256."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from jgo.maven import MavenContext

from dev.authorities import trusted
from dev.kafka import jvm
from dev.steps import SetupError

LOCK = Path(__file__).parent / "jars.lock"
"""One jar a line: group:artifact:version sha256:HEX"""

_TRIES = 3
_TIMEOUT = 60
_AT_ONCE = 8


def progress() -> str:
    """How far `fetch` has got."""
    there = [jar.stat().st_size for jar in jvm.JARS.glob("*.jar")]
    count = len(LOCK.read_text().splitlines())
    return f"{len(there)} of {count} jars, {sum(there) / 1e6:.0f} MB"


def fetch() -> None:
    """Download exactly the jars of the lock into the jars' folder.

    Raises:
        SetupError: A jar cannot be had, or is not the one of the lock.
    """
    shutil.rmtree(jvm.JARS, ignore_errors=True)
    jvm.JARS.mkdir(parents=True)
    cache = jvm.HOME / "maven"
    maven = MavenContext(repo_cache=cache, timeout=_TIMEOUT)
    with trusted(), ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda line: _fetch(maven, line), LOCK.read_text().splitlines()))
    shutil.rmtree(cache)


def _fetch(maven: MavenContext, line: str) -> None:
    coordinates, expected = line.split(" sha256:")
    jar = _resolve(maven, coordinates)
    if hashlib.sha256(jar.read_bytes()).hexdigest() != expected:
        raise SetupError(f"{coordinates}: not the jar of {LOCK.name} (SHA-256 differs)")
    shutil.move(jar, jvm.JARS / jar.name)


def _resolve(maven: MavenContext, coordinates: str) -> Path:
    group, artifact, version = coordinates.split(":")
    component = maven.project(group, artifact).at_version(version)
    reason: Exception | None = None
    for _ in range(_TRIES):
        try:
            return Path(component.artifact().resolve())
        except (requests.RequestException, RuntimeError, OSError) as error:
            reason = error
    raise SetupError(f"{coordinates} cannot be fetched: {reason}") from reason
