"""One Kafka broker process with its own controller (KRaft), or with that of another one."""

import contextlib
import shutil
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from dev.kafka import jvm
from dev.kafka.configuration import Configuration, Tls
from dev.process import HOST, Service, free_port
from dev.steps import command

CLUSTER_ID = "ZGV2LXF1aWNrc3RhcnQtMQ"
"""Any 16 bytes in URL-safe base 64."""

FORMATTED = jvm.HOME / "formatted"
"""Formatted storage without users, copied for each broker: one start of Java less."""


class Kafka(Service):
    """A running broker.

    Attributes:
        url: `kafka://host:port` of the listener without authentication.
        sasl_url: The same of the listener with SASL (PLAIN and SCRAM); None without users.
        ssl_url: Of the listener with TLS that asks for a certificate; None without `tls`.
        sasl_ssl_url: Of the listener with TLS and SASL; None without both.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        strangers: Mapping[str, str] | None = None,
        tls: Tls | None = None,
        settings: Mapping[str, str] | None = None,
        joins: "Kafka | None" = None,
        flags: list[str] | None = None,
    ) -> None:
        """Prepare the broker's folder; call `start` to start it.

        Args:
            folder: An existing folder; what an earlier broker stored in it is served again, to the
                users of that time.
            users: Passwords by user name; opens a listener with SASL.
            strangers: The same of users who may log in and nothing else; needs `users`.
            tls: Opens listeners with TLS.
            settings: Of the broker, in place of those that tests usually have.
            joins: A broker whose cluster it is to be the second one of.
            flags: For Java, in place of those that use the class-data archive.
        """
        data = folder / "kafka"
        port = free_port()
        configuration = Configuration(
            data=data,
            port=port,
            controller_port=joins.controller_port if joins else free_port(),
            sasl_port=free_port() if users else None,
            users=users or {},
            strangers=strangers or {},
            tls=tls,
            ssl_port=free_port() if tls else None,
            sasl_ssl_port=free_port() if tls and users else None,
            settings=settings or {},
            node=2 if joins else 1,
        )
        self.controller_port: int = configuration.controller_port
        properties = folder / "server.properties"
        properties.write_text(configuration.properties())
        if not data.exists():
            _format(configuration, properties)
        super().__init__(
            "kafka",
            jvm.java(
                "kafka.Kafka",
                properties,
                flags=jvm.use_archive() if flags is None else flags,
            ),
            port=port,
            folder=folder,
            ready=lambda: answers_requests(port),
        )
        self.url = f"kafka://{HOST}:{port}"
        self.sasl_url = _url(configuration.sasl_port)
        self.ssl_url = _url(configuration.ssl_port)
        self.sasl_ssl_url = _url(configuration.sasl_ssl_port)


def answers_requests(port: int) -> bool:
    """Whether a broker at this port answers ApiVersions (key 18, version 0) without an error."""
    request = struct.pack(">ihhih", 10, 18, 0, 1, -1)
    with (
        contextlib.suppress(OSError, struct.error),
        socket.create_connection((HOST, port), timeout=1) as connection,
    ):
        connection.sendall(request)
        _, correlation_id, error = struct.unpack(">iih", connection.recv(10, socket.MSG_WAITALL))
        return (correlation_id, error) == (1, 0)
    return False


def _url(port: int | None) -> str | None:
    return None if port is None else f"kafka://{HOST}:{port}"


def _format(configuration: Configuration, properties: Path) -> None:
    if FORMATTED.exists() and not configuration.users and configuration.node == 1:
        shutil.copytree(FORMATTED, configuration.data)
        return
    command(
        jvm.java(
            "kafka.tools.StorageTool",
            "format",
            *("--cluster-id", CLUSTER_ID),
            *("--config", properties),
            *configuration.format_arguments(),
        )
    )
