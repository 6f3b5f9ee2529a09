"""`persister retention`: remove old activations from the database."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click
from tqdm import tqdm

from app.commands.filters import Instant
from app.commands.printing import print_json
from app.couchdb import DatabaseError, connected
from app.couchdb.availability import advice
from app.couchdb.old_activations import OldActivations
from app.expiry.removal import Method, Progress, Removal, too_young
from app.expiry.report import as_json, as_text, write_metrics
from app.settings import Settings, load

DONE, NOT_DONE = 0, 2
DAY = 86_400.0


@click.command("retention")
@click.option(
    "--older-than",
    "cutoff",
    required=True,
    type=Instant(),
    help="Remove what began before then: an age such as 30d, or an ISO 8601 time.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option(
    "--method",
    type=click.Choice([method.value for method in Method]),
    help="Default: purge as a server administrator, otherwise delete.",
)
@click.option(
    "--share",
    type=click.FloatRange(0.01, 1),
    default=0.2,
    show_default=True,
    help="Share of the time that the database may spend on it.",
)
@click.option("--limit", type=click.IntRange(1), help="Remove at most this many.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write metrics for node_exporter's textfile collector to this .prom file.",
)
@click.option("--json", "as_object", is_flag=True, help="The report as a JSON object.")
def retention(
    *,
    cutoff: int,
    dry_run: bool,
    method: str | None,
    share: float,
    limit: int | None,
    metrics_file: Path | None,
    as_object: bool,
) -> None:
    """Remove old activations from the database, the oldest first.

    It may be stopped at any time: the next run goes on with the oldest that are left. Exit code 0:
    done. 2: the database refuses, or does not answer for a minute at the start, or for ten minutes
    later on.
    """
    settings = load()
    least = too_young(cutoff, time.time(), settings.kafka.documents_retention)
    if least is not None:
        raise click.UsageError(
            "--older-than is too young: Kafka may still hold these records, and one that is "
            "delivered again would bring its activation back. Take "
            f"{least / DAY:.0f}d or more (PERSISTER_DOCUMENTS_RETENTION and a day)"
        )
    with tqdm(total=0, disable=None, file=sys.stderr, leave=False, unit=" activations") as bar:
        removal_of = _removal(method, share, limit, lambda progress: _show(bar, progress))
        try:
            progress = asyncio.run(_run(settings, removal_of, cutoff, dry_run=dry_run))
        except DatabaseError as error:
            where = f"{settings.database.url}/{settings.database.name}"
            _fail(f"The database {where}: {error}; {advice(error, retried=False)}")
    if metrics_file is not None and not dry_run:
        try:
            write_metrics(metrics_file, progress, ended=time.time())
        except OSError as error:
            _fail(f"--metrics-file: {error}")
    if as_object:
        print_json(as_json(progress, dry_run=dry_run))
    else:
        click.echo(as_text(progress, dry_run=dry_run))
    sys.exit(DONE)


def _removal(
    method: str | None, share: float, limit: int | None, told: Callable[[Progress], None]
) -> Callable[[OldActivations], Removal]:
    chosen = Method(method) if method else None
    return lambda store: Removal(store, share=share, method=chosen, limit=limit, told=told)


async def _run(
    settings: Settings,
    removal_of: Callable[[OldActivations], Removal],
    cutoff: int,
    *,
    dry_run: bool,
) -> Progress:
    async with connected(settings.database) as database:
        removal = removal_of(OldActivations(database))
        return await (removal.look(cutoff) if dry_run else removal.run(cutoff))


def _show(bar: "tqdm[NoReturn]", progress: Progress) -> None:
    bar.total = progress.found
    bar.update(progress.removed + progress.changed - bar.n)


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(NOT_DONE)
