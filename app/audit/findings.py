# ruff: noqa: S608 - queries are put together from constants; values are bound
"""The audit's findings and the conclusions from them.

They are in a private temporary SQLite database that is gone when the process ends: digests, ids and
places, never contents. SQLite joins and sorts them, and keeps a bounded part in memory.
"""

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from enum import IntEnum
from itertools import groupby
from typing import Any, Final, NamedTuple

from app.audit.content import NOT_COMPARED, Content
from app.audit.verdicts import ENDINGS, Ending, Verdict

HOUR_MILLIS: Final = 3_600_000
CACHE_KIB: Final = 32 * 1024


class Place(NamedTuple):
    """Where a record is in Kafka."""

    topic: str
    partition: int
    offset: int


class Kind(IntEnum):
    """What must become of a record."""

    EXPECTED = 0
    LEFT_OUT = 1
    FINISHED = 2
    UNUSABLE = 3


class Found(NamedTuple):
    """A record that is audited."""

    topic: str
    partition: int
    offset: int
    at: int
    """Epoch millis, by the record's timestamp."""

    kind: Kind
    activation: str | None
    document: str | None = None
    digest: bytes | None = None
    rounded: bytes | None = None
    size: int = 0
    reason: str | None = None
    bare: bytes | None = None
    """Of a record without logs: its digest but for them; the same record with logs stands for it.
    """


class Settled(NamedTuple):
    """What is judged for good, so that no later audit need look at it again."""

    marks: dict[tuple[str, int], int]
    """By topic and partition with records that are not: the offset of the first one of these."""

    oldest_open: int | None
    """The time of the oldest of them (epoch millis)."""

    endings: Counter[Ending]
    """Of activations, each counted once."""

    verdicts: Counter[Verdict]
    """Of records."""


class Example(NamedTuple):
    """A record that the report names."""

    place: Place
    at: int
    activation: str | None
    document: str | None


_TABLES = """
CREATE TABLE record (
    topic TEXT, part INT, offset INT, at INT, kind INT, activation TEXT, document TEXT,
    digest BLOB, rounded BLOB, size INT, reason TEXT, bare BLOB,
    verdict TEXT
);
CREATE TABLE arrived (activation TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE before (activation TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE horizon (topic TEXT PRIMARY KEY, since INT);
CREATE TABLE progress (topic TEXT, part INT, committed INT, PRIMARY KEY (topic, part));
CREATE TABLE waiting (document TEXT, digest BLOB, PRIMARY KEY (document, digest)) WITHOUT ROWID;
CREATE TABLE letter (
    topic TEXT, part INT, offset INT, PRIMARY KEY (topic, part, offset)
) WITHOUT ROWID;
CREATE TABLE refused (document TEXT, digest BLOB, PRIMARY KEY (document, digest)) WITHOUT ROWID;
CREATE TABLE stored (
    document TEXT PRIMARY KEY, digest BLOB, rounded BLOB, bare BLOB
) WITHOUT ROWID;
"""

_UNKNOWN = f"X'{NOT_COMPARED.digest.hex()}'"

# What is in the database is the last word; a record that is on its way is not missing yet.
_JUDGE = f"""
UPDATE record SET verdict = CASE
    WHEN kind = {Kind.FINISHED} THEN '{Verdict.ACKNOWLEDGEMENT}'
    WHEN kind = {Kind.LEFT_OUT} THEN '{Verdict.LEFT_OUT}'
    WHEN record.digest = {_UNKNOWN}
        AND EXISTS (SELECT 1 FROM stored s WHERE s.document = record.document)
        THEN '{Verdict.NOT_COMPARED}'
    WHEN EXISTS (SELECT 1 FROM stored s
        WHERE s.document = record.document
        AND (s.digest = record.digest OR s.bare = record.bare))
        THEN '{Verdict.PRESENT}'
    WHEN EXISTS (SELECT 1 FROM stored s
        WHERE s.document = record.document AND s.rounded = record.rounded
        AND record.rounded <> record.digest)
        THEN '{Verdict.ROUNDED}'
    WHEN EXISTS (SELECT 1 FROM letter l
        WHERE l.topic = record.topic AND l.part = record.part AND l.offset = record.offset)
        OR EXISTS (SELECT 1 FROM refused r
        WHERE r.document = record.document AND record.digest IN (r.digest, {_UNKNOWN}))
        THEN '{Verdict.SET_ASIDE}'
    WHEN offset >= COALESCE((SELECT committed FROM progress p
        WHERE p.topic = record.topic AND p.part = record.part), 0)
        OR EXISTS (SELECT 1 FROM waiting w
        WHERE w.document = record.document AND record.digest IN (w.digest, {_UNKNOWN}))
        THEN '{Verdict.PENDING}'
    WHEN kind = {Kind.UNUSABLE} THEN '{Verdict.NOT_SET_ASIDE}'
    WHEN EXISTS (SELECT 1 FROM stored s WHERE s.document = record.document)
        THEN '{Verdict.DIFFERENT}'
    ELSE '{Verdict.MISSING}'
END
"""

_UNARRIVED = f"""
    kind = {Kind.FINISHED} AND activation NOT IN (
        SELECT activation FROM arrived
        UNION ALL SELECT activation FROM record
        WHERE kind <> {Kind.FINISHED} AND activation IS NOT NULL
    )
"""
_ENDING = " ".join(f"WHEN '{verdict}' THEN {rank}" for rank, verdict in enumerate(ENDINGS))
_JUDGED = "at >= (SELECT since FROM horizon h WHERE h.topic = record.topic)"
_WHOSE = "COALESCE(document, activation, topic || '/' || part || '/' || offset)"


class Findings:
    """Fill it, `judge`, then ask."""

    def __init__(self) -> None:
        # An empty name is SQLite's for a temporary file.
        self._sql = sqlite3.connect("", isolation_level=None)
        self._sql.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._sql.execute("PRAGMA temp_store = FILE")
        self._sql.execute("PRAGMA journal_mode = OFF")
        self._sql.executescript(_TABLES)
        self._sql.execute("BEGIN")

    def close(self) -> None:
        """Delete everything."""
        self._sql.close()

    def add_records(self, found: Iterable[Found]) -> None:
        """Add records to be judged."""
        self._sql.executemany(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", found
        )

    def add_arrived(self, activations: Iterable[str]) -> None:
        """Add activations whose records are somewhere, beside those of the records."""
        self._sql.executemany(
            "INSERT OR IGNORE INTO arrived VALUES (?)", ((one,) for one in activations)
        )

    def add_committed(self, topic: str, partition: int, offset: int) -> None:
        """Note how far the worker has come in one of OpenWhisk's topics."""
        self._sql.execute("INSERT INTO progress VALUES (?, ?, ?)", (topic, partition, offset))

    def add_waiting(self, documents: Iterable[tuple[str, Content]]) -> None:
        """Add documents in the internal topic that the worker has not settled."""
        self._sql.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?)", _digests(documents))

    def add_letter(self, origin: Place, document: Iterable[tuple[str, Content]]) -> None:
        """Add a dead letter: where its record came from, and the document if it is one."""
        self._sql.execute("INSERT OR IGNORE INTO letter VALUES (?, ?, ?)", origin)
        self._sql.executemany("INSERT OR IGNORE INTO refused VALUES (?, ?)", _digests(document))

    def add_stored(self, documents: Iterable[tuple[str, Content]]) -> None:
        """Add what the database holds."""
        self._sql.executemany(
            "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?)",
            ((document, *content) for document, content in documents),
        )

    def count_documents(self) -> int:
        """How many different documents are expected."""
        return int(self._one("SELECT COUNT(DISTINCT document) FROM record"))

    def documents(self) -> Generator[tuple[str, int], None, None]:
        """The ids of the expected documents in order, each with its size in bytes."""
        yield from self._sql.execute(
            "SELECT document, MAX(size) FROM record WHERE document IS NOT NULL "
            "GROUP BY document ORDER BY document"
        )

    def judge(self) -> None:
        """Decide about every record, but for acknowledgements without a record."""
        self._sql.execute(_JUDGE)

    def add_horizon(self, topic: str, since: int) -> None:
        """Note from when on (epoch millis) acknowledgements of a topic can be judged.

        Those of topics without one cannot: their records may have been where nobody looks.
        """
        self._sql.execute("INSERT INTO horizon VALUES (?, ?)", (topic, since))

    def latest_unarrived(self) -> int | None:
        """When the latest acknowledgement came (epoch millis) whose record is missing so far."""
        latest = self._one(f"SELECT MAX(at) FROM record WHERE {_UNARRIVED} AND {_JUDGED}")
        return None if latest is None else int(latest)

    def judge_arrivals(self) -> int:
        """Decide about acknowledgements without a record; returns how many cannot be judged."""
        arguments = {"v": Verdict.NEVER_ARRIVED.value}
        self._sql.execute(
            f"UPDATE record SET verdict = :v WHERE {_UNARRIVED} AND {_JUDGED}",
            arguments,
        )
        return int(
            self._one(
                f"SELECT COUNT(*) FROM record WHERE {_UNARRIVED} AND verdict <> :v",
                **arguments,
            )
        )

    def add_before(self, activations: Iterable[str]) -> None:
        """Add activations that an earlier audit has counted."""
        self._sql.executemany(
            "INSERT OR IGNORE INTO before VALUES (?)", ((one,) for one in activations)
        )

    def settle(self, patient_until: int) -> Settled:
        """Keep what is judged for good, and forget the rest; after everything was judged, once.

        A partition is settled up to its first record that is not: one on its way, or an
        acknowledgement so young that its record may still come.

        Args:
            patient_until: epoch millis; acknowledgements that came later are such.
        """
        self._sql.execute(
            "CREATE TABLE mark AS SELECT topic, part, MIN(offset) AS first, MIN(at) AS oldest "
            "FROM record WHERE verdict = :pending OR verdict = :never AND at > :patient "
            "GROUP BY topic, part",
            {
                "pending": Verdict.PENDING.value,
                "never": Verdict.NEVER_ARRIVED.value,
                "patient": patient_until,
            },
        )
        self._sql.execute(
            "DELETE FROM record WHERE EXISTS (SELECT 1 FROM mark m WHERE m.topic = record.topic "
            "AND m.part = record.part AND record.offset >= m.first)"
        )
        verdicts = self._sql.execute("SELECT verdict, COUNT(*) FROM record GROUP BY verdict")
        endings = self._sql.execute(
            f"SELECT rank, COUNT(*) FROM (SELECT MIN(CASE verdict {_ENDING} END) AS rank "
            "FROM record WHERE activation IS NOT NULL "
            "AND activation NOT IN (SELECT activation FROM before) GROUP BY activation) "
            "WHERE rank IS NOT NULL GROUP BY rank"
        )
        ranked = list(ENDINGS.values())
        found: Counter[Ending] = Counter()
        for rank, count in endings:
            found[ranked[rank]] += count
        marks = self._sql.execute("SELECT topic, part, first FROM mark")
        return Settled(
            {(topic, part): first for topic, part, first in marks},
            self._one("SELECT MIN(oldest) FROM mark"),
            found,
            Counter({Verdict(verdict): count for verdict, count in verdicts}),
        )

    def count(self, verdict: Verdict) -> int:
        """How many records have ended so."""
        return int(self._one("SELECT COUNT(*) FROM record WHERE verdict = :v", v=verdict.value))

    def count_documents_with(self, verdict: Verdict) -> int:
        """How many different documents, or activations where there is none, have ended so."""
        return int(
            self._one(
                f"SELECT COUNT(DISTINCT {_WHOSE}) FROM record WHERE verdict = :v",
                v=verdict.value,
            )
        )

    def table(self) -> dict[str, dict[int, dict[Verdict, int]]]:
        """Verdict counts by topic and hour of arrival (epoch millis)."""
        rows = self._sql.execute(
            "SELECT topic, at - at % :hour AS hour, verdict, COUNT(*) FROM record "
            "GROUP BY topic, hour, verdict ORDER BY topic, hour",
            {"hour": HOUR_MILLIS},
        )
        return {
            topic: {
                hour: {Verdict(row[2]): row[3] for row in of_hour}
                for hour, of_hour in groupby(of_topic, key=lambda row: row[1])
            }
            for topic, of_topic in groupby(rows, key=lambda row: row[0])
        }

    def left_out(self) -> dict[str, int]:
        """By reason, how many records must not be stored."""
        return dict(
            self._sql.execute(
                "SELECT reason, COUNT(*) FROM record WHERE reason IS NOT NULL GROUP BY reason"
            )
        )

    def examples(self, verdict: Verdict, limit: int) -> list[Example]:
        """The first record of each document (or activation) that has ended so, the oldest first."""
        rows = self._sql.execute(
            "SELECT topic, part, offset, MIN(at) AS first, activation, document FROM record "
            f"WHERE verdict = :v GROUP BY {_WHOSE} "
            "ORDER BY first, topic, offset LIMIT :n",
            {"v": verdict.value, "n": limit},
        )
        return [Example(Place(*row[:3]), *row[3:]) for row in rows]

    def missing(self) -> Iterator[Place]:
        """Of each missing document, where the first record with it is."""
        rows = self._sql.execute(
            "SELECT topic, part, offset, MIN(at) FROM record WHERE verdict = :v GROUP BY document",
            {"v": Verdict.MISSING.value},
        )
        return (Place(*row[:3]) for row in rows)

    def _one(self, query: str, **arguments: Any) -> Any:
        (value,) = self._sql.execute(query, arguments).fetchone()
        return value


def _digests(documents: Iterable[tuple[str, Content]]) -> Iterator[tuple[str, bytes]]:
    return ((document, content.digest) for document, content in documents)
