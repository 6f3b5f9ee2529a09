"""`faust -A app audit`: whether the database holds what Kafka says it must.

The report goes to standard output, progress to standard error. The worker is not started.
"""

import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NoReturn

import click
from tqdm import tqdm

from app.audit.auditing import Auditor
from app.audit.differences import differences
from app.audit.errors import AuditError
from app.audit.findings import Findings
from app.audit.reading import Scope, Watcher
from app.audit.repair import Repaired, open_repairer
from app.audit.report import Report
from app.audit.verdicts import Verdict
from app.commands.filters import Duration, Instant
from app.commands.printing import print_json
from app.couchdb import DatabaseError, connected
from app.couchdb.availability import advice
from app.kafka.access import explain
from app.kafka.errors import KafkaError
from app.kafka.reader import ReadError
from app.process.errors import CANNOT_BE_WRITTEN
from app.process.logs import log_to_terminal
from app.settings import Settings, load

PORT = 6067
"""Of a standing audit: beside that of a worker on the same machine."""

GOOD, BAD, ERROR = 0, 1, 2


@click.command("audit")
@click.option("--topic", "topics", multiple=True, help="Only this topic; can be repeated.")
@click.option(
    "--since", type=Instant(), help="Records since then: an ISO 8601 time, or an age: 90m, 2d."
)
@click.option("--until", type=Instant(), help="Records from before then.")
@click.option(
    "--show",
    "shown",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Examples to list for each kind of failure.",
)
@click.option("--repair", is_flag=True, help="Send the records of missing documents again.")
@click.option("--dry-run", is_flag=True, help="With --repair: only list what would be sent.")
@click.option(
    "--every",
    type=Duration(),
    help="Keep running, and audit what is new this often: 15m, 1h.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"With --every: of /metrics and /health, on PERSISTER_WEB_HOST; {PORT} unless given.",
)
@click.option("--json", "as_object", is_flag=True, help="The report as a JSON object.")
def audit(*, as_object: bool, every: float | None, port: int | None, **options: Any) -> None:
    """Compare the database with what Kafka still holds.

    Exit code 0: every record is accounted for. 1: documents are missing or different, records are
    not set aside that should be, records never arrived although an acknowledgement reported them,
    or Kafka deleted some unread; `failures` and `lost_to_retention` of --json count them. 2: the
    audit could not be made, or there was nothing to audit. With --every, until told to stop: 1 when
    any round found such things, 2 when the last one could not be made.
    """
    # Its errors are told in one line, below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if options["dry_run"] and not options["repair"]:
        raise click.UsageError("--dry-run goes with --repair")
    if every is not None:
        if as_object or any(options[name] for name in _OF_ONE_AUDIT):
            raise click.UsageError("--every takes no other option but --port")
        sys.exit(asyncio.run(_stand(load(), every, PORT if port is None else port)))
    if port is not None:
        raise click.UsageError("--port goes with --every")
    settings = load()
    with _told_in_one_line(settings):
        report = asyncio.run(_audit(settings, **options))
    if as_object:
        print_json(report.as_json())
    else:
        click.echo(report.as_text())
    sys.exit(GOOD if report.good else BAD)


_OF_ONE_AUDIT = ("topics", "since", "until", "repair")


async def _stand(settings: Settings, every: float, port: int) -> int:
    """Audit until told to stop; returns the exit code."""
    # What only this form needs: the web server, and what it shows.
    from app.audit.endpoint import served  # noqa: PLC0415
    from app.audit.standing import Standing  # noqa: PLC0415

    log_to_terminal(settings.worker.log_format)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    standing = Standing(settings, every)
    async with served(standing.tally, settings.worker, port):
        await standing.run(stop)
    tally = standing.tally
    if tally.last is None or tally.last_error is not None:
        return ERROR
    return BAD if tally.wrong else GOOD


@contextmanager
def _told_in_one_line(settings: Settings) -> Iterator[None]:
    try:
        yield
    except (AuditError, ReadError) as error:
        _fail(str(error))
    except DatabaseError as error:
        where = f"{settings.database.url}/{settings.database.name}"
        _fail(f"The database {where}: {error}; {advice(error, retried=False)}")
    except sqlite3.OperationalError as error:
        _fail(f"No room for what was found: {error} (TMPDIR says where it is kept)")
    except (KafkaError, OSError) as error:
        if isinstance(error, OSError) and error.errno in CANNOT_BE_WRITTEN:
            raise
        _fail(f"Kafka at {settings.kafka.url}: {explain(error, settings.kafka)}")


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(ERROR)


async def _audit(
    settings: Settings,
    *,
    topics: tuple[str, ...],
    since: int | None,
    until: int | None,
    shown: int,
    repair: bool,
    dry_run: bool,
) -> Report:
    with closing(Findings()) as findings, closing(_Bar()) as bar:
        audited = await Auditor(settings, findings, bar).run(Scope(since, until), frozenset(topics))
        report = Report.of(audited, findings, shown)
        if not report.records and not audited.lost:
            raise AuditError(f"nothing to audit: no record in {', '.join(audited.topics)}")
        if different := report.examples[Verdict.DIFFERENT]:
            async with connected(settings.database) as database:
                report.differing = await differences(settings, database, different)
        if repair:
            report.repaired = await _repair(settings, findings, bar, dry_run=dry_run)
        return report


async def _repair(
    settings: Settings, findings: Findings, bar: Watcher, *, dry_run: bool
) -> Repaired:
    if dry_run:
        return Repaired(findings.count_documents_with(Verdict.MISSING), dry_run=True)
    async with open_repairer(settings, bar) as repairer:
        return await repairer.run(findings.missing())


class _Bar(Watcher):
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] = tqdm(total=0, disable=None, file=sys.stderr, leave=False)

    def close(self) -> None:
        self._bar.close()

    def begin(self, step: str, total: int) -> None:
        self._bar.set_description(step, refresh=False)
        self._bar.reset(total)

    def forward(self, count: int) -> None:
        self._bar.update(count)

    def say(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)
