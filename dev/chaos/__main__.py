"""`make chaos`, or `python -m dev.chaos --help`."""

import argparse
import asyncio
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from dev.chaos.fault import Fault, Kind, Result
from dev.chaos.faults import FAULTS
from dev.chaos.faulty import faulty_database
from dev.chaos.play import Play
from dev.chaos.randomly import RandomPlay
from dev.chaos.report import failed, table
from dev.chaos.stage import Surroundings
from dev.couchdb import CouchDB, couchdb
from dev.kafka.cluster import cluster
from dev.process import HOST

RATE = 200.0


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of an earlier run, to have its choices again")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these faults alone")
    parser.add_argument("--short", action="store_true", help="few faults, once or twice each")
    parser.add_argument("--rounds", type=int, help="so many of each fault instead of its own")
    parser.add_argument("--minutes", type=float, help="begin again until so many have passed")
    parser.add_argument("--random", type=float, metavar="MINUTES", help="faults in random order")
    parser.add_argument("--rate", type=float, default=RATE, help="events per second")
    parser.add_argument("--keep", action="store_true", help="logs and data, even if all held")
    parser.add_argument("--list", action="store_true", help="show the faults")
    return parser.parse_args()


def chosen(only: list[str] | None, rounds: int | None, *, short: bool) -> list[tuple[Fault, int]]:
    """Select the faults to inject and their rounds. Raises `ValueError` for an unknown name."""
    names = {fault.name for fault in FAULTS}
    if unknown := set(only or ()) - names:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
    wanted = [fault for fault in FAULTS if not only or fault.name in only]
    if short and not only:
        wanted = [fault for fault in wanted if fault.short]
    return [(f, rounds or (max(1, f.short) if short else f.rounds)) for f in wanted]


async def run(
    database: CouchDB,
    folder: Path,
    faults: list[tuple[Fault, int]],
    options: argparse.Namespace,
) -> list[Result]:
    """Inject the faults at least once, and again until the time is up."""
    began, seed = time.monotonic(), options.seed
    results: list[Result] = []
    guarded = any(fault.kind is Kind.TOPICS for fault, _ in faults)
    async with (
        cluster(folder, guarded=guarded) as broker,
        faulty_database(f"http://{HOST}:{database.port}") as proxy,
    ):
        around = Surroundings(broker, database, proxy, folder)
        while True:
            play = Play(around, seed=seed, rate=options.rate, say=say)
            results += await play.run(faults, together=options.short)
            say(
                f"{play.kills} workers killed, {play.events} events, {play.documents} documents, "
                f"{(time.monotonic() - began) / 60:.1f} minutes"
            )
            if time.monotonic() - began >= (options.minutes or 0) * 60:
                return results
            seed += 1000


async def run_randomly(
    database: CouchDB, folder: Path, faults: list[Fault], options: argparse.Namespace
) -> list[str]:
    """Inflict random faults for the wanted time; returns what did not hold."""
    async with (
        cluster(folder, guarded=True) as broker,
        faulty_database(f"http://{HOST}:{database.port}") as proxy,
    ):
        around = Surroundings(broker, database, proxy, folder)
        play = Play(around, seed=options.seed, rate=options.rate, say=say)
        random = RandomPlay(play, faults, seed=options.seed, say=say)
        await random.run(options.random)
    return random.findings


def say(text: str) -> None:
    """Print a line for a person."""
    print(text, flush=True)


def main() -> int:
    """Run the suite; returns 0 only if every guarantee held."""
    options = arguments()
    if options.list:
        # Who reads only the first lines ends it, as any tool.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for fault in FAULTS:
            say(f"{fault.name:28} {fault.holds}")
        return 0
    faults = chosen(options.only, options.rounds, short=options.short)
    if options.seed is None:
        options.seed = secrets.randbits(31)
    say(f"seed {options.seed}")
    # aiokafka tells of every attempt while the broker is down.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    with couchdb(folder) as database:
        if options.random:
            pool = [fault for fault, _ in faults]
            wrong = bool(asyncio.run(run_randomly(database, folder, pool, options)))
        else:
            results = asyncio.run(run(database, folder, faults, options))
            say(f"\n{table(results)}\n")
            wrong = failed(results)
    if wrong:
        say(f"A guarantee was violated. Seed {options.seed}; logs and data are in {folder}.")
        return 1
    say(f"All guarantees held. Seed {options.seed}.")
    if options.keep:
        say(f"Logs and data are in {folder}.")
    else:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
