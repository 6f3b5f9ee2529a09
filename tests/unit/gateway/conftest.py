from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from app.kafka.producer import BatchProducer
from app.process.connections import BoundedSite
from app.settings import KafkaSettings, LogMode
from openwhisk.gateway.server import Gateway
from openwhisk.gateway.settings import Configuration, GatewaySettings
from openwhisk.gateway.upstream import Upstream
from openwhisk.publisher import Publisher
from tests.openwhisk_client import OpenWhiskClient
from tests.unit.gateway.doubles import DATABASE, FakeDatabase, FakeProducer, Running

StartGateway = Callable[..., Awaitable[Running]]
StartClients = Callable[..., Awaitable[tuple[OpenWhiskClient, OpenWhiskClient]]]


@pytest.fixture
async def database() -> AsyncIterator[FakeDatabase]:
    fake = FakeDatabase()
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:(?s:.*)}", fake.handle)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture
async def start(database: FakeDatabase, producer: FakeProducer) -> AsyncIterator[StartGateway]:
    """Starts a gateway with the given settings in front of the fake database."""
    closing: list[Callable[[], Awaitable[None]]] = []

    async def gateway(**settings: Any) -> Running:
        chosen = GatewaySettings(**settings)
        configuration = Configuration(
            gateway=chosen,
            kafka=KafkaSettings(),
            log_mode=LogMode.SEPARATE,
            upstream=database.url,
            ca_file=None,
            database=DATABASE,
        )
        publisher = Publisher(
            configuration.kafka,
            deadline=chosen.publish_deadline,
            bytes_in_flight=chosen.bytes_in_flight,
            new_producer=lambda: BatchProducer(configuration.kafka, new_client=producer.client),
        )
        await publisher.start()
        upstream = Upstream(
            configuration.upstream, DATABASE, connect_timeout=5, trusted=chosen.authorized_users
        )
        serving = Gateway(configuration, publisher, upstream)
        runner = serving.runner()
        await runner.setup()
        await BoundedSite(runner, "127.0.0.1", 0, serving.connections).start()
        client = aiohttp.ClientSession(auto_decompress=False)
        closing.extend([client.close, runner.cleanup, upstream.close, publisher.stop])
        port = runner.addresses[0][1]
        return Running(f"http://127.0.0.1:{port}", port, client, publisher)

    yield gateway
    for close in closing:
        await close()


@pytest.fixture
async def gateway(start: StartGateway) -> Running:
    return await start()


@pytest.fixture
async def clients(start: StartGateway, database: FakeDatabase) -> AsyncIterator[StartClients]:
    """Starts a gateway; a client of one whose records are taken, and of one who changes them."""
    made: list[OpenWhiskClient] = []

    async def make(**settings: Any) -> tuple[OpenWhiskClient, OpenWhiskClient]:
        database.couchdb.others["editor"] = "secret"
        gateway = await start(**settings)
        for name in ("whisk", "editor"):
            url = gateway.url.replace("//", f"//{name}:secret@")
            made.append(OpenWhiskClient(url, DATABASE))
        return made[0], made[1]

    yield make
    for client in made:
        client.close()
