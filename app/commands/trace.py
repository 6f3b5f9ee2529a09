"""`persister trace <activation id>`: where is my activation?"""

import asyncio
import logging
import sys
from typing import Any

import click

from app.commands.printing import print_json
from app.monitoring.trace import Limits
from app.monitoring.trace import activation as ids
from app.monitoring.trace import trace as search
from app.monitoring.trace.account import Fate
from app.settings import load

FOUND, NOT_FOUND, NOT_LOOKED_AT = 0, 1, 2
_CODES = {
    Fate.STORED: FOUND,
    Fate.WAITING: FOUND,
    Fate.SET_ASIDE: FOUND,
    Fate.LEFT_OUT: FOUND,
    Fate.UNKNOWN: NOT_LOOKED_AT,
}


class ActivationType(click.ParamType):
    """`<id>` or `<namespace>/<id>`."""

    name = "activation"

    def convert(self, value: Any, param: Any, ctx: Any) -> ids.ActivationId:
        """Read the argument."""
        found = ids.parse(value)
        if found is None:
            self.fail("expected an activation id of 32 hex digits, or <namespace>/<id>", param, ctx)
        return found


@click.command("trace")
@click.argument("activation", type=ActivationType())
@click.option(
    "--within",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds to search Kafka for.",
)
@click.option("--json", "as_object", is_flag=True, help="The result as a JSON object.")
def trace(activation: ids.ActivationId, within: float, *, as_object: bool) -> None:
    """Tell where an activation is: in Kafka, in the database, or set aside, and why.

    Exit code 0: it is stored, waits, was set aside or is not to be stored. 1: it is nowhere, or
    only reported as finished. 2: that cannot be told.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    account = asyncio.run(search(load(), activation, Limits(kafka=within)))
    if as_object:
        print_json(account.as_json())
    else:
        click.echo(account.as_text())
    sys.exit(_CODES.get(account.fate, NOT_FOUND))
