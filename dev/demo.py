"""`make demo`: the whole path of a record, on a real Kafka and a CouchDB stand-in.

A simulated OpenWhisk of two versions produces blocking and non-blocking activations, sequences,
conductors, triggers, shrunk acknowledgements, junk, and the same record on two topics; a worker
carries them to the database; then the books must balance.
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from tqdm import tqdm

from app.monitoring.outcomes import Step
from app.settings import KafkaSettings
from dev import paths
from dev.services import Services, services
from dev.traffic import (
    Ledger,
    Mix,
    Setup,
    Simulation,
    Sizes,
    Summary,
    Traffic,
    ensure_topics,
    miscounted,
)
from dev.worker import PREFIX, Worker, database_settings
from openwhisk.publisher import Publisher
from openwhisk.store import InvokerRecords

CONSOLE = Console()
Line = tuple[str, int, Mapping[str, int]]
"""A sum of the report and its parts."""

EVENTS = int(os.environ.get("DEMO_EVENTS", "5000"))
KEEP = bool(os.environ.get("KEEP"))
DATABASE = "whisk_local_activations"
PATIENCE = 60.0
"""Seconds without progress after which the demo gives up."""
WORD = 15.0
"""Seconds without progress after which it says what it waits for."""

SETUP = Setup(invoker_records=InvokerRecords.ALL)
"""The Kafka store is on in the invoker too: a blocking record arrives twice, on two topics."""


async def run(provided: Services, folder: Path) -> bool:
    """Run the demo; returns whether the sums agree."""
    worker = Worker(folder, provided, database=DATABASE)
    await asyncio.to_thread(worker.start)
    try:
        say("The worker is ready; OpenWhisk, whose topics don't exist yet, starts to produce.")
        summary = await produce(provided)
        status = await settle(worker, summary.ledger)
        documents = await stored(provided.couchdb_url)
        balanced = report(summary, status, documents)
        if documents:
            await asked(worker, documents[len(documents) // 2]["activationId"])
        balanced = await audited(worker) and balanced
        if KEEP:
            await keep(provided, worker, documents)
        return balanced
    finally:
        await asyncio.to_thread(worker.stop)


async def produce(provided: Services) -> Summary:
    """Send the traffic."""
    kafka = KafkaSettings.model_validate({"PERSISTER_KAFKA_URL": provided.kafka_url})
    traffic = Traffic(
        SETUP,
        seed=secrets.randbits(32),
        mix=Mix(duplicates=0.02, junk=0.02),
        sizes=Sizes(near_limit=0.0005, oversized=0.0005),
    )
    publisher = Publisher(kafka)
    await publisher.start()
    try:
        await ensure_topics(publisher, SETUP, kafka)
        with tqdm(total=EVENTS, unit=" events", desc="produced") as bar:
            return await Simulation(traffic, publisher, count=EVENTS, on_progress=bar.update).run()
    finally:
        await publisher.stop()


async def settle(worker: Worker, ledger: Ledger) -> Mapping[str, Any]:
    """Wait until the worker has finished every record; returns its status."""
    wanted = {step.value: count for step, count in ledger.outcomes.consumed.items()}
    total, done, last = sum(wanted.values()), 0, time.monotonic()
    said = last
    with tqdm(total=total, unit=" records", desc="persisted") as bar:
        while True:
            status = await asyncio.to_thread(worker.status)
            now = min(total, sum(status["outcomes"][step]["consumed"] for step in wanted))
            if now != done:
                bar.update(now - done)
                done = now
                last = said = time.monotonic()
            if finished(status, wanted) or time.monotonic() - last > PATIENCE:
                return status
            if time.monotonic() - said > WORD:
                said = time.monotonic()
                bar.write(stillness(status, said - last))
            await asyncio.sleep(0.5)


def finished(status: Mapping[str, Any], wanted: Mapping[str, int]) -> bool:
    """Whether everything is committed: records that come twice make the counts say so too early."""
    consumed = {step: status["outcomes"][step]["consumed"] for step in wanted}
    return all(consumed[step] >= wanted[step] for step in wanted) and not status["lag"]


def stillness(status: Mapping[str, Any], seconds: float) -> str:
    """What the worker says of itself when it has finished nothing for so long."""
    reason = status["not_ready"] or f"the worker is {status['work']}"
    return (
        f"Nothing was finished for {seconds:.0f} s ({reason}; {status['lag']} records unread);"
        f" giving up after {PATIENCE:.0f} s."
    )


async def stored(couchdb_url: str) -> list[dict[str, Any]]:
    """All documents in the database."""
    url = f"{couchdb_url}/{DATABASE}/_all_docs?include_docs=true"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        answer.raise_for_status()
        rows = (await answer.json(content_type=None))["rows"]
    return [row["doc"] for row in rows if not row["id"].startswith("_design/")]


def report(summary: Summary, status: Mapping[str, Any], documents: list[dict[str, Any]]) -> bool:
    """Print what happened; returns whether it is what was expected."""
    outcomes, ledger = status["outcomes"], summary.ledger
    lines: list[Line] = [("produced", sum(summary.messages.values()), summary.messages)]
    for step in ("route", "store"):
        for outcome, count in outcomes[step].items():
            reasons = count if isinstance(count, Mapping) else {}
            lines.append(
                (f"{step}: {outcome}", sum(reasons.values()) if reasons else count, reasons)
            )
    show([*lines, ("documents", len(documents), {})])
    again = outcomes["route"]["consumed"] - ledger.outcomes.consumed[Step.ROUTE]
    if again > 0:
        # A new topic makes the group share out its partitions anew, and on a slow machine what is
        # in flight does not finish in time for that.
        say(f"{again} records came twice, since they were not finished when a topic appeared.")
    wrong = miscounted(ledger, outcomes) if again <= 0 else {}
    differences = ledger.differences(documents)
    rewritten = [doc["_id"] for doc in documents if not doc["_rev"].startswith("1-")]
    for (step, outcome, reason), (wanted, found) in wrong.items():
        say(f"WRONG  {step} {outcome} {reason}: {found}, but should be {wanted}")
    for what, ids in {**vars(differences), "written twice": rewritten}.items():
        if ids:
            say(f"WRONG  {len(ids)} documents {what}, such as {ids[0]}")
    balanced = not (wrong or differences or rewritten or summary.failures)
    say("")
    if balanced:
        say(f"The sums agree: {len(ledger)} activations, {len(documents)} documents, each once.")
    else:
        say("The sums do not agree.")
    return balanced


def show(lines: list[Line]) -> None:
    """Sums and their parts: a table in a terminal, plain lines elsewhere."""
    listed = [
        (name, count, ", ".join(f"{part} {number}" for part, number in sorted(parts.items())))
        for name, count, parts in lines
    ]
    if CONSOLE.is_terminal:
        table = Table("what", Column("records", justify="right"), "of which", box=SIMPLE_HEAD)
        for name, count, parts in listed:
            table.add_row(name, f"{count:,}", parts)
        CONSOLE.print(table)
        return
    for name, count, parts in listed:
        say(f"{name:22} {count:8}  {parts}")


async def asked(worker: Worker, activation_id: str) -> None:
    """Ask where one of the activations is."""
    _, output = await command(worker, "trace", activation_id)
    say(f"\nWhere an activation is (persister trace {activation_id}):\n{output}")


async def audited(worker: Worker) -> bool:
    """Have the audit compare Kafka with the database, by rules of its own; whether it agrees."""
    code, output = await command(worker, "audit")
    say(f"\nThe audit, which counts for itself (persister audit):\n{output}")
    return code == 0


async def command(worker: Worker, *arguments: str) -> tuple[int | None, str]:
    """Run a command with the worker's settings; its exit code, and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.commands.main", *arguments),
        env=worker.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().rstrip()


async def keep(provided: Services, worker: Worker, documents: list[dict[str, Any]]) -> None:
    """Keep everything running until Ctrl-C."""
    settings = {
        "kafka_url": provided.kafka_url,
        "database": DATABASE,
        "web_port": worker.port,
        **database_settings(provided.couchdb_url),
    }
    exports = "\n".join(
        f"    export {PREFIX}{name.upper()}={value}" for name, value in settings.items()
    )
    some = documents[0]["activationId"] if documents else "<activation id>"
    kill = f"kill -9 {worker.pid}".ljust(40)
    say(f"""
Everything keeps running until Ctrl-C.
  status page  {worker.url}/
  database     {provided.couchdb_url}/{DATABASE}/_all_docs?limit=5
  log          {worker.log_file}

In a second terminal, in this folder:
    . .venv/bin/activate
{exports}
Then try, for example:
    persister trace {some}
    persister dead-letters list --limit 5
    faust -A app simulate --count 5000 &    # more traffic, and meanwhile
    {kill}# the worker dies; a new one goes on:
    persister worker > worker.log 2>&1 &
    persister audit                         # nothing is missing, nothing is there twice

docs/tutorial.md goes through this step by step.
""")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def hints() -> None:
    """Print where to go from here."""
    say(
        "\nTo look further:\n"
        "  make demo KEEP=1            leaves everything running and prints the addresses\n"
        "  .venv/bin/persister --help  the worker and its commands\n"
        "  docs/tutorial.md            from here to a fault that you cause yourself"
    )


def say(text: str) -> None:
    """Print a line for a person."""
    print(text, flush=True)


def folder_for_logs() -> Path:
    """A new folder for the logs and data of a run, which a failed one leaves."""
    home = paths.PROJECT / ".demo"
    home.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%H%M%S-"), dir=home))


def failed(folder: Path) -> None:
    """Print where to look when it went wrong."""
    shown = folder.relative_to(paths.PROJECT)
    say(
        "\nThe demo failed. What it leaves, until `make clean`:\n"
        f"  {shown}/worker.log    what the worker said: look for ERROR first\n"
        f"  {shown}/              data and logs of the Kafka and the database that it started\n"
        "To look at the dead letters, for example, with both started again:\n"
        f"  .venv/bin/python -m dev run --keep {shown} --kafka-env PERSISTER_KAFKA_URL -- \\\n"
        "      .venv/bin/persister dead-letters list --limit 5\n"
        "Please report it with worker.log and what is above: it ought to succeed on any machine."
    )


def main() -> int:
    """Run against the environment's services, or own ones; returns 0 only if the sums agree."""
    folder, balanced = folder_for_logs(), False
    try:
        with services(folder) as provided:
            balanced = asyncio.run(run(provided, folder))
    finally:
        if balanced:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            failed(folder)
    if balanced and not KEEP:
        hints()
    return 0 if balanced else 1


if __name__ == "__main__":
    sys.exit(main())
