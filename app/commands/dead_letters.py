"""`faust -A app dead-letters list|show|replay`: inspects what was set aside, and replays it.

The result goes to standard output, one line for each letter; progress and remarks go to standard
error. The worker is not started.
"""

import asyncio
import json
import logging
import shutil
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from typing import Any

import click
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from app.commands.filters import Name, filters, selection
from app.commands.printing import print_json, print_pieces, print_table
from app.dead_letters.errors import LettersError
from app.dead_letters.planning import Planned
from app.dead_letters.presenting import (
    COLUMNS,
    as_columns,
    as_json,
    as_line,
    as_text,
    content_as_json,
)
from app.dead_letters.progress import Progress, read_progress
from app.dead_letters.reading import Letter, LetterId, Letters, open_letters
from app.dead_letters.replaying import Replay, Report, Watcher
from app.dead_letters.selection import Selection
from app.kafka.access import explain
from app.kafka.admin import UnreadableSettingsError, open_admin
from app.kafka.errors import KafkaError
from app.kafka.reader import ReadError
from app.kafka.topics import TopicNames
from app.process.errors import CANNOT_BE_WRITTEN
from app.process.words import counted
from app.settings import Settings, load


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was set aside, and send it again."""
    # What goes wrong is told in one line, by `run`. asyncio complains of the futures that aiokafka
    # leaves behind when another replay has taken over.
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@dead_letters.command("list")
@filters
@click.option("--json", "as_objects", is_flag=True, help="A JSON object on each line.")
def list_letters(limit: int | None, *, as_objects: bool, **chosen: Any) -> None:
    """List letters without their contents, oldest first.

    A table on a terminal; elsewhere one line for each, its columns separated by tabs.
    """
    settings = load()
    run(settings, _list(settings, selection(**chosen), limit, as_objects=as_objects))


@dead_letters.command("show")
@click.argument("letter", type=Name())
@click.option("--raw", is_flag=True, help="Only the value, byte for byte.")
@click.option("--json", "as_object", is_flag=True, help="Everything as a JSON object.")
def show(letter: LetterId, *, raw: bool, as_object: bool) -> None:
    """Show one letter in full, with its contents.

    In JSON, bytes that are not UTF-8 are in base 64, as `value_base64` instead of `value`.
    """
    if raw and as_object:
        raise click.UsageError("--raw and --json exclude each other")
    settings = load()
    run(settings, _show(settings, letter, raw=raw, as_object=as_object))


@dead_letters.command("replay")
@filters
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option(
    "--max-attempts",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Skip letters that were replayed this many times and came back.",
)
@click.option("--force", is_flag=True, help="Send even while the database takes no documents.")
@click.option("--yes", is_flag=True, help="Do not ask before sending everything.")
@click.option("--json", "as_objects", is_flag=True, help="The summary as a JSON object.")
def replay(
    limit: int | None,
    *,
    dry_run: bool,
    max_attempts: int,
    force: bool,
    yes: bool,
    as_objects: bool,
    **chosen: Any,
) -> None:
    """Send letters back to where they came from, each once.

    Running it again goes on where it stopped. While the database takes no documents, nothing is
    sent and no attempt is counted (exit code 2). Divergent records are sent only with
    --reason divergent. Without a filter it asks, or takes --yes.
    """
    asked = Replay(selection(**chosen), max_attempts, limit, dry_run, force)
    if not (dry_run or yes or limit or any(chosen.values())):
        _ask_whether_all()
    settings = load()
    run(settings, _replay(settings, asked, as_objects=as_objects))


def _ask_whether_all() -> None:
    """Ask whether really all letters are meant.

    Raises:
        click.UsageError: nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            "without a filter every dead letter would be sent again: say --yes if that is meant"
        )
    click.confirm("Send every dead letter again?", abort=True)


class _FailedError(click.ClickException):
    """The command could not do its work."""

    exit_code = 2


def run(settings: Settings, command: Coroutine[Any, Any, None]) -> None:
    """Run a command; what goes wrong is one line on standard error and exit code 2."""
    try:
        asyncio.run(command)
    except (LettersError, ReadError, UnreadableSettingsError) as error:
        raise _FailedError(str(error)) from error
    except (KafkaError, OSError) as error:
        if isinstance(error, OSError) and error.errno in CANNOT_BE_WRITTEN:
            raise
        why = explain(error, settings.kafka)
        raise _FailedError(f"Kafka at {settings.kafka.url}: {why}") from error


async def _list(
    settings: Settings, chosen: Selection, limit: int | None, *, as_objects: bool
) -> None:
    table = None if as_objects else _table()
    found = 0
    async with _opened(settings) as (letters, progress):
        asked = await letters.since(chosen.since)
        async for _, letter in asked.read():
            if found == limit:
                break
            if letter and chosen.takes(letter):
                found += 1
                known, replayed = progress.counted(letter), progress.replayed(letter)
                if table is None:
                    click.echo(_line(known, replayed=replayed, as_object=as_objects))
                else:
                    _add(table, known, replayed=replayed)
                    if table.row_count == _ROWS:
                        print_table(table)
                        table = _table()
    if table is not None and table.row_count:
        print_table(table)
    if not found:
        click.echo("No dead letters, or none like that.", err=True)
    _unreadable(asked.unreadable)


_ROWS = 500
"""After which a table is shown and another one begun: there may be millions of letters."""


_ID_WIDTH = 32
"""Characters of an activation id."""


_NARROWEST = 110
"""Columns of a terminal from which on a table can be read; a narrower one gets lines, too."""


def _table() -> Table | None:
    if not sys.stdout.isatty() or shutil.get_terminal_size().columns < _NARROWEST:
        return None
    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        # An id is copied, so it stays whole; one that is none of OpenWhisk's may be longer.
        width = _ID_WIDTH if name == "activation" else None
        table.add_column(name, overflow="fold", no_wrap=name in ("letter", "reason"), width=width)
    return table


def _add(table: Table, letter: Letter, *, replayed: bool) -> None:
    table.add_row(*map(escape, as_columns(letter, replayed=replayed)))


def _line(letter: Letter, *, replayed: bool, as_object: bool, **more: str) -> str:
    if as_object:
        return json.dumps(as_json(letter, replayed=replayed) | more)
    return "\t".join([as_line(letter, replayed=replayed), *more.values()])


async def _show(settings: Settings, wanted: LetterId, *, raw: bool, as_object: bool) -> None:
    async with _opened(settings) as (letters, progress):
        letter = progress.counted(await letters.get(wanted))
    if raw:
        click.get_binary_stream("stdout").write(letter.content.value or b"")
    elif as_object:
        print_json(as_json(letter, replayed=progress.replayed(letter)) | content_as_json(letter))
    else:
        print_pieces(as_text(letter, replayed=progress.replayed(letter)))


async def _replay(settings: Settings, asked: Replay, *, as_objects: bool) -> None:
    bar = _Bar(show_letters=asked.dry_run, as_objects=as_objects)
    with closing(bar):
        report = await asked.run(settings, bar)
    summary = {
        "would_replay" if asked.dry_run else "replayed": (
            report.planned if asked.dry_run else report.replayed
        ),
        "stayed": {stay.name.lower().replace("_", "-"): n for stay, n in report.stayed.items()},
    }
    if as_objects:
        print_json(summary, indent=None)
    else:
        click.echo(_summary(report, dry_run=asked.dry_run))
    _unreadable(report.unreadable)


def _summary(report: Report, *, dry_run: bool) -> str:
    did = (
        f"Would replay {counted(report.planned, 'letter')}"
        if dry_run
        else f"Replayed {counted(report.replayed, 'letter')}"
    )
    stayed = [f"{count} {stay.value}" for stay, count in sorted(report.stayed.items())]
    return f"{did}.{' Stayed: ' + ', '.join(stayed) + '.' if stayed else ''}"


def _unreadable(count: int) -> None:
    if count:
        click.echo(
            f"{counted(count, 'record')} in the dead-letter topic: no dead letters.", err=True
        )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Letters, Progress]]:
    """The letters, and what was replayed of them."""
    kafka, names = settings.kafka, TopicNames(settings.kafka.topic_prefix)
    async with open_admin(kafka) as admin:
        partitions = await admin.partition_counts()
    progress = Progress()
    if names.replays in partitions:
        progress = await read_progress(kafka, names.replays)
    async with open_letters(
        kafka, names.dead_letters, partitions.get(names.dead_letters, 0)
    ) as letters:
        yield letters, progress


class _Bar(Watcher):
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, *, show_letters: bool, as_objects: bool) -> None:
        self._show_letters = show_letters
        self._as_objects = as_objects
        self._bar: tqdm[Any] = tqdm(
            total=0, unit=" letters", disable=None, file=sys.stderr, leave=False
        )

    def close(self) -> None:
        self._bar.close()

    def begin(self, total: int) -> None:
        self._bar.reset(total)

    def forward(self, count: int, report: Report) -> None:
        self._bar.update(count)
        self._bar.set_postfix(replayed=report.replayed, refresh=False)

    def planned(self, planned: Planned) -> None:
        if self._show_letters:
            letter, to = planned
            where = f"{to.topic}/{to.partition}"
            line = _line(letter, replayed=False, as_object=self._as_objects, to=where)
            self._bar.write(line, file=sys.stdout)

    def say(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)
