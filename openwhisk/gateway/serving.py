"""Runs the gateway: its command line, and what starts and stops in which order."""

import asyncio
import gc
import logging
import os
import signal
import sys

import uvloop
from aiohttp import web

from app.process.connections import BoundedSite, Connections
from app.process.errors import WRONG_SETTINGS, StartError
from app.process.logs import log_to_terminal
from app.process.preflight import why_not_to_be_had
from app.process.printable import shown
from app.process.seldom import calm_web_server
from app.process.signals import handle_signals
from app.process.surroundings import open_standard_streams
from app.settings import SettingsError, open_secrets
from app.settings.listing import of_group
from app.version import VERSION
from openwhisk.gateway.server import Gateway
from openwhisk.gateway.settings import Configuration, load, variable_of
from openwhisk.gateway.topic import keep_topic
from openwhisk.gateway.upstream import Upstream
from openwhisk.publisher import Publisher

logger = logging.getLogger("openwhisk.gateway")

_USAGE = """\
Usage: persister-gateway [--config | --version | --help]

  Run the gateway until SIGTERM. Its settings are GATEWAY_* in the environment.

  --config   List them with their values, and exit.
  --version  Show the version and exit.
  --help     Show this message and exit.
"""

_PRODUCER_LEAVES = 1.0
"""Seconds for Kafka to acknowledge records that nobody waits for any more, and that were not
reported as stored.
"""

_SWITCH_INTERVAL = 0.001
"""Seconds after which the thread that reads documents yields to the event loop."""


async def serve(configuration: Configuration) -> None:
    """Listen until SIGTERM or SIGINT, then finish what is in flight.

    Raises:
        StartError: it cannot listen on the address.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    handle_signals(asyncio.get_running_loop())
    for line in open_secrets([configuration.kafka]):
        logger.warning(line)
    settings = configuration.gateway
    _check_address(settings.listen_host, settings.listen_port)
    publisher = Publisher(
        configuration.kafka,
        deadline=settings.publish_deadline,
        bytes_in_flight=settings.bytes_in_flight,
    )
    upstream = Upstream(
        configuration.upstream,
        configuration.database,
        connect_timeout=settings.connect_timeout,
        ca_file=configuration.ca_file,
        trusted=settings.authorized_users,
        validation_ttl=settings.credentials_ttl,
    )
    gateway = Gateway(configuration, publisher, upstream)
    runner = gateway.runner()
    await publisher.start()
    try:
        await _listen(runner, configuration, gateway.connections)
        # A full collection would look at all that was imported, too, for tens of milliseconds.
        gc.collect()
        gc.freeze()
        topic = asyncio.create_task(keep_topic(publisher, configuration.topic_spec))
        await stop.wait()
        logger.info("stopping: finishing what is in flight")
        for site in runner.sites:
            await site.stop()
        await gateway.drain()
        topic.cancel()
    finally:
        await runner.cleanup()
        await publisher.stop(_PRODUCER_LEAVES)
        await upstream.close()
    logger.info("stopped")


def _check_address(host: str, port: int) -> None:
    """Check that the address is available, before anything connects to Kafka."""
    why = why_not_to_be_had(host, port)
    if why:
        raise StartError(
            f"the gateway cannot listen on {host}, port {port} ({why}): choose another address or "
            "port with GATEWAY_LISTEN_HOST and GATEWAY_LISTEN_PORT"
        )


async def _listen(
    runner: web.AppRunner, configuration: Configuration, connections: Connections
) -> None:
    host, port = configuration.gateway.listen_host, configuration.gateway.listen_port
    await runner.setup()
    await BoundedSite(runner, host, port, connections).start()
    logger.info(
        "listening on http://%s:%s; activations of database %s go to topic %s, the rest to %s",
        host,
        runner.addresses[0][1],
        configuration.database,
        configuration.topic,
        configuration.upstream,
    )


def main() -> int:
    """Run the gateway; returns the exit code."""
    open_standard_streams()
    arguments = sys.argv[1:]
    match arguments:
        case [] | ["--config"]:
            pass
        case ["--version"]:
            print(f"persister-gateway {VERSION}")  # noqa: T201 - what was asked for
            return 0
        case ["--help"]:
            print(_USAGE, end="")  # noqa: T201 - the same
            return 0
        case _:
            wrong = f"Error: unexpected arguments: {shown(' '.join(arguments))}"
            print(f"{_USAGE}\n{wrong}", file=sys.stderr)  # noqa: T201 - for the operator
            return WRONG_SETTINGS
    try:
        configuration = load()
    except SettingsError as error:
        print(f"The settings are wrong:\n{error}", file=sys.stderr)  # noqa: T201 - for the operator
        return WRONG_SETTINGS
    if arguments:
        for row in of_group(configuration.gateway, os.environ, variable_of):
            print(f"{row.variable}={row.value}  ({row.source})")  # noqa: T201 - what was asked for
        return 0
    log_to_terminal(configuration.log_format)
    # aiokafka logs every attempt; the publisher logs once that Kafka is away and once that it is
    # back.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    calm_web_server(
        "openwhisk.gateway.credentials",
        "openwhisk.gateway.decoder",
        "openwhisk.gateway.headers",
        "openwhisk.gateway.storing",
    )
    sys.setswitchinterval(_SWITCH_INTERVAL)
    uvloop.run(serve(configuration))
    return 0
