"""`docs/commands.md`: every command with its options and exit codes, as the parser has them."""

import inspect
from collections.abc import Iterator

import click

from app.commands.main import main

_INTRODUCTION = """\
# Commands

This page is made from the code by `make generated`; a test compares the two.

`persister` is installed with the package. The same commands are there as `faust -A app ...` in a
checkout. Settings come from the environment: see [settings](settings.md).

What was asked for goes to standard output, everything else to standard error, so that `--json` can
be read by a program: an object, an array of objects, or an object on each line where there may be
many. Times are ISO 8601 in UTC, durations are in seconds. A command that could not be done (exit
code 2) writes nothing there, but for `trace`, which says what it could not look at. The JSON Schema
of all of it, with an entry for each command, is [`commands.schema.json`](commands.schema.json).

Exit codes are the same everywhere:

| code | meaning |
|---|---|
| 0 | done, and all is well |
| 1 | done, and something is not as it should be |
| 2 | could not be done: wrong setting or option, no answer, full disk, output that nobody reads |
| 130 | interrupted (Ctrl-C) |

No command waits without end for somebody who does not answer. It gives up after 15 seconds for each
address of `PERSISTER_KAFKA_URL`; after half a minute, or 40 seconds, for an answer of Kafka's later
on (ten minutes while Kafka says that it throttles the command); for the database after
`PERSISTER_REQUEST_TIMEOUT`, of which an audit makes a few attempts.

A worker, a gateway or a standing audit that has to end, or cannot start as things are, ends with 1:
its port is taken, its folder cannot be written to, Kafka does not let it in. What is wrong in a
setting itself, so that no later start would be better, is 2.

What changes something that cannot be taken back asks first, or takes `--yes`.
"""

_PASSED_ON = ("worker", "gateway")


def page() -> str:
    """The page, as it should be."""
    context = click.Context(main, info_name="persister")
    return _INTRODUCTION + "".join(_group(main, context))


def _group(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - for the type checker
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _group(command, inner)
        else:
            yield _section(command, inner)


def _section(command: click.Command, context: click.Context) -> str:
    arguments = "".join(
        f" {one.make_metavar(context)}" for one in command.params if isinstance(one, click.Argument)
    )
    text = inspect.cleandoc(command.help or "")
    lines = [f"\n## {context.command_path}\n\n```sh\n{context.command_path}{arguments}"]
    lines.append(" [OPTIONS]\n```\n\n" if command.name not in _PASSED_ON else "\n```\n\n")
    lines.append(f"{text}\n")
    options = [
        f"| `{', '.join((*one.opts, *one.secondary_opts))}{_value(one, context)}` "
        f"| {_about(one)} |\n"
        for one in command.params
        if isinstance(one, click.Option)
    ]
    if options:
        lines.append("\n| option | |\n|---|---|\n" + "".join(options))
    return "".join(lines)


def _value(option: click.Option, context: click.Context) -> str:
    return "" if option.is_flag else f" {option.make_metavar(context)}".replace("|", " \\| ")


def _about(option: click.Option) -> str:
    text = (option.help or "").replace("|", "\\|")
    return f"{text} Default: `{option.default}`." if option.show_default else text
