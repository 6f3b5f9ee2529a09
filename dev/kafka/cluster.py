"""A cluster of one broker whose process, addresses and data may change behind one address."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.kafka.patches.moved_brokers import follow_moved_brokers
from app.settings import KafkaSettings
from dev.forwarder import Forwarder, forwarder
from dev.kafka.broker import Kafka
from dev.kafka.install import install_kafka
from dev.kafka.rights import rights
from dev.process import HOST

ADMIN = {"admin": "correct-horse"}
USER, PASSWORD = "worker", "battery-staple"


class Cluster:
    """Started and stopped as a broker is; what replaces it keeps the cluster's address.

    Args:
        folder: of what it stores; must exist.
        plain: the address of those who need no login.
        guarded: of those who log in and have only the rights that they were given; None without.

    Attributes:
        broker: the present one.
        broker_settings: its settings, in place of those that tests usually have.
    """

    def __init__(self, folder: Path, plain: Forwarder, guarded: Forwarder | None) -> None:
        self._folder = folder
        self._plain = plain
        self._guarded = guarded
        self._brokers = 0
        self.broker_settings: Mapping[str, str] = {}
        self.broker = self._install(self._new_home())

    @property
    def url(self) -> str:
        """`kafka://host:port` for everybody."""
        return f"kafka://{HOST}:{self._plain.port}"

    @property
    def settings(self) -> KafkaSettings:
        """Of clients that need no login."""
        return KafkaSettings(url=self.url)

    @property
    def guarded(self) -> bool:
        """Whether there are rights that can be taken away from workers."""
        return self._guarded is not None

    @property
    def worker_settings(self) -> dict[str, object]:
        """Settings of a worker: with a login where there are rights."""
        if self._guarded is None:
            return {"kafka_url": self.url}
        return {
            "kafka_url": f"kafka://{HOST}:{self._guarded.port}",
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": "PLAIN",
            "kafka_user": USER,
            "kafka_password": PASSWORD,
        }

    @property
    def pid(self) -> int:
        """Of the broker's process."""
        return self.broker.pid

    async def start(self) -> None:
        """Start the broker where it was."""
        await asyncio.to_thread(self.broker.start)

    async def stop(self) -> None:
        """SIGTERM."""
        await asyncio.to_thread(self.broker.stop)

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self.broker.kill)

    async def move(self, settings: Mapping[str, str] | None = None) -> None:
        """Have another broker serve the same data at other ports; the old one must be stopped.

        Args:
            settings: of the new one, in place of those that tests usually have.
        """
        await self._replace(self._home, settings)
        await self.start()

    async def empty(self, settings: Mapping[str, str] | None = None) -> None:
        """As `move`, but without any data."""
        await self._replace(self._new_home(), settings)
        await self.start()
        await self.grant()

    async def grant(self) -> None:
        """Give the workers' user every right."""
        if self._guarded is not None:
            async with rights(self.broker.url, USER) as granting:
                await granting.allow_everything()

    async def _replace(self, home: Path, settings: Mapping[str, str] | None) -> None:
        self.broker_settings = settings or {}
        self.broker = await asyncio.to_thread(self._install, home)

    def _new_home(self) -> Path:
        self._brokers += 1
        self._home = self._folder / f"broker-{self._brokers}"
        self._home.mkdir()
        return self._home

    def _install(self, home: Path) -> Kafka:
        users = ADMIN if self._guarded else None
        strangers = {USER: PASSWORD} if self._guarded else None
        broker = Kafka(home, users=users, strangers=strangers, settings=self.broker_settings)
        self._plain.target = broker.port
        if self._guarded is not None:
            self._guarded.target = urlsplit(broker.sasl_url or "").port or 0
        return broker


@contextlib.asynccontextmanager
async def cluster(folder: Path, *, guarded: bool = False) -> AsyncIterator[Cluster]:
    """Start one, and stop it at the end; clients of this process follow it when it moves.

    Args:
        folder: for its data; must exist.
        guarded: workers log in, and can be refused.
    """
    follow_moved_brokers()
    await asyncio.to_thread(install_kafka)
    async with contextlib.AsyncExitStack() as stack:
        plain = await stack.enter_async_context(forwarder(0))
        login = await stack.enter_async_context(forwarder(0)) if guarded else None
        running = await asyncio.to_thread(Cluster, folder, plain, login)
        try:
            await running.start()
            await running.grant()
            yield running
        finally:
            await running.stop()
