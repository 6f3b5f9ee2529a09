"""`persister`: the worker, the gateway and every command under one name, from any folder.

For those who come from Faust, the same commands exist as `faust -A app ...`. Each is loaded only
when it is run, so that one command's help does not wait for the imports of all.
"""

import os
import signal
import sys

try:
    import runpy
    from importlib import import_module
    from typing import Any, NamedTuple

    import click
    from click.utils import PacifyFlushWrapper

    from app.process.errors import CANNOT_BE_WRITTEN, WRONG_SETTINGS, SettingsError
    from app.process.starting import end_at_signals
    from app.process.surroundings import (
        forget_faust,
        open_standard_streams,
        why_no_working_folder,
    )
    from app.version import VERSION
except KeyboardInterrupt:
    # Imports are most of a start.
    sys.exit(128 + signal.SIGINT)

INTERRUPTED = 128 + signal.SIGINT
"""As a shell has it."""

CANNOT = 2
"""Exit code of a command that could not do its work."""


class Where(NamedTuple):
    """Where a command is defined, and its line in the list of commands."""

    module: str
    attribute: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(import_module(self.module), self.attribute)
        return command


COMMANDS = {
    "worker": Where("app.commands.main", "worker", "Route and store records until told to stop."),
    "gateway": Where("app.commands.main", "gateway", "Put a stock OpenWhisk's writes on Kafka."),
    "setup": Where("app.commands.setup", "setup", "Create topics, database, design documents."),
    "status": Where("app.commands.status", "status", "Show what a running worker is doing."),
    "doctor": Where("app.commands.doctor", "doctor", "Check everything that a worker needs."),
    "trace": Where("app.commands.trace", "trace", "Find an activation, and say why it is there."),
    "config": Where("app.commands.config", "config", "List settings and where they come from."),
    "audit": Where("app.commands.audit", "audit", "Compare the database with what Kafka holds."),
    "dead-letters": Where(
        "app.commands.dead_letters", "dead_letters", "Look at what was set aside, and replay it."
    ),
    "retention": Where("app.commands.retention", "retention", "Remove old activations."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; output that cannot be written is one message, too."""
        open_standard_streams()
        forget_faust(os.environ)
        try:
            return super().main(*args, **kwargs)
        except SystemExit as ended:
            # click ends with 1 then, and so does Faust's command line, which is one of click's.
            if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
                sys.exit(INTERRUPTED)
            # click ends with 1 when nobody reads on, with which many a command says that it has
            # found something.
            if isinstance(sys.stdout, PacifyFlushWrapper):
                sys.exit(CANNOT)
            raise
        except OSError as error:
            if error.errno not in CANNOT_BE_WRITTEN:
                raise
            # What is still buffered would fail once more when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(CANNOT)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        where = COMMANDS.get(cmd_name)
        return where.load() if where else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; wrong settings are one message, whichever command reads them."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            click.echo(f"The settings are wrong:\n{error}", err=True)
            sys.exit(WRONG_SETTINGS)
        except KeyboardInterrupt:
            # Not 1, with which many a command says that it has found something.
            click.echo("Interrupted.", err=True)
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, where.summary) for name, where in COMMANDS.items()])


@click.group(cls=_Lazy)
@click.version_option(VERSION, prog_name="persister", message="%(prog)s %(version)s")
def main() -> None:
    """Carry Apache OpenWhisk's activation records from Kafka to CouchDB.

    Settings come from the environment: PERSISTER_*, listed by `persister config`, and for the
    gateway GATEWAY_* too, listed by `persister gateway --config`.
    """


class _CannotError(click.ClickException):
    """The command cannot do its work."""

    exit_code = CANNOT


_PASSED_ON: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
    "add_help_option": False,
}


@click.command("worker", **_PASSED_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run a worker; it takes the options of `faust worker`."""
    if why := why_no_working_folder(os.environ):
        raise _CannotError(why)
    end_at_signals()
    # Half of the time that a start takes. Ours come first: Faust's line of commands is read before
    # the application that they come with.
    from faust.cli.faust import cli  # noqa: PLC0415

    from app.commands import for_faust  # noqa: F401, PLC0415

    level = (
        [] if {"-l", "--loglevel"} & {one.partition("=")[0] for one in arguments} else ["-linfo"]
    )
    cli.main(["-A", "app", "worker", *level, *arguments], prog_name="persister")


@click.command("gateway")
@click.option("--config", is_flag=True, help="List GATEWAY_* settings with their values, and exit.")
@click.version_option(VERSION, prog_name="persister gateway", message="%(prog)s %(version)s")
def gateway(*, config: bool) -> None:
    """Run the gateway; its settings are `GATEWAY_*` in the environment."""
    # By its name: the worker's side imports nothing of the producing side.
    sys.argv = ["persister gateway", *(["--config"] if config else [])]
    runpy.run_module("openwhisk.gateway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
