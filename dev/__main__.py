"""Sets up, and runs commands beside a local Kafka and CouchDB: `python -m dev --help`."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from dev.services import install, services
from dev.steps import SetupError, say

SIMULATE = ("-m", "faust", "-A", "app", "simulate")


def main() -> int:
    """Run the command line and return the exit code."""
    if sys.argv[1:2] == ["simulate"]:  # its options are its own
        os.execv(sys.executable, [sys.executable, *SIMULATE, *sys.argv[2:]])  # noqa: S606
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        if arguments.action == "setup":
            return setup()
        return run(arguments.command, keep=arguments.keep, kafka_variable=arguments.kafka_env)
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def setup() -> int:
    """Install what `run` would start, as far as that is still to do."""
    began = time.monotonic()
    install()
    say(f"the services are installed ({time.monotonic() - began:.1f} s)")
    return 0


def run(command: list[str], *, keep: Path | None, kafka_variable: str | None) -> int:
    """Run a command beside a Kafka and a CouchDB.

    Args:
        command: The program and its arguments.
        keep: Folder for the services' data; temporary without it.
        kafka_variable: A further variable that carries Kafka's address.

    Returns:
        The command's exit code, as a shell would give it.
    """
    with services(keep) as running:
        environment = {**os.environ, **running.environment()}
        if kafka_variable:
            environment[kafka_variable] = running.kafka_url
        return _run(command, environment)


def _run(command: list[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:
        raise SetupError(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # The terminal has sent Ctrl-C to the command too: it stops in its own time.
        code = process.wait()
    except SystemExit:
        process.terminate()
        process.wait()
        raise
    return code if code >= 0 else 128 - code


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("setup", help="install Kafka and the CouchDB stand-in")
    actions.add_parser("simulate", help="write activations to Kafka as OpenWhisk would")
    runner = actions.add_parser(
        "run",
        help="run a command beside Kafka and CouchDB",
        description="Starts what KAFKA_URL and COUCHDB_URL do not give, sets both for the command,"
        " and stops it all at the end.",
    )
    runner.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the data of the services there"
    )
    runner.add_argument(
        "--kafka-env", metavar="NAME", help="also give Kafka's address in this variable"
    )
    runner.add_argument("command", nargs="+", metavar="-- COMMAND", help="the command to run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
