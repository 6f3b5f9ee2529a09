"""The configuration of a broker that lives for one test run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.process import HOST

SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_FIXED = """\
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false

# One broker, so one copy; one partition starts faster than fifty.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Tests wait for rebalances, for dead members to be noticed, and for compaction.
# A killed broker may come back only when its last session has run out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.initial.task.delay.ms=1000
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=4194304

# A small machine that the tests need too.
num.network.threads=2
num.io.threads=2
background.threads=1
"""

_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Tls:
    """Certificates of the listeners with TLS, in PEM files.

    Attributes:
        keystore: The broker's private key (PKCS #8) and its certificate, in one file.
        truststore: The authority that clients' certificates must be signed by.
    """

    keystore: Path
    truststore: Path


@dataclass(frozen=True)
class Configuration:
    """What differs from broker to broker.

    Attributes:
        data: The folder of the log segments.
        port: Of the listener without authentication.
        controller_port: Of the KRaft controller.
        node: Its number in the cluster; only the first one has the controller.
        sasl_port: Of the listener with SASL; None: there is none.
        users: Passwords by user name, for SASL PLAIN and SCRAM.
        strangers: The same of users who may log in, and nothing else.
        tls: Opens a listener that asks for clients' certificates, and one with SASL.
        ssl_port: Of the first; needs `tls`.
        sasl_ssl_port: Of the second; needs `tls` and users.
        settings: Of the broker, in place of those that tests usually have.
    """

    data: Path
    port: int
    controller_port: int
    sasl_port: int | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    strangers: Mapping[str, str] = field(default_factory=dict)
    tls: Tls | None = None
    ssl_port: int | None = None
    sasl_ssl_port: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    node: int = 1

    def properties(self) -> str:
        """The text of `server.properties`."""
        first = self.node == 1
        listeners = {
            "PLAINTEXT": self.port,
            "CONTROLLER": self.controller_port if first else None,
            "SASL_PLAINTEXT": self.sasl_port,
            "SSL": self.ssl_port,
            "SASL_SSL": self.sasl_ssl_port,
        }
        opened = {name: port for name, port in listeners.items() if port is not None}
        protocols = {name: name for name in opened} | {"CONTROLLER": "PLAINTEXT"}
        addresses = (f"{name}://{HOST}:{port}" for name, port in opened.items())
        lines = [
            f"process.roles={'broker,controller' if first else 'broker'}",
            f"node.id={self.node}",
            f"log.dirs={self.data}",
            f"listeners={','.join(addresses)}",
            f"controller.quorum.voters=1@{HOST}:{self.controller_port}",
            f"listener.security.protocol.map={','.join(map(':'.join, protocols.items()))}",
            *(line for name in opened if name.startswith("SASL") for line in self._sasl(name)),
            *self._certificates(),
            *self._rights(),
            *(f"{name}={value}" for name, value in self.settings.items()),
        ]
        return _FIXED + "\n".join(lines) + "\n"

    def format_arguments(self) -> list[str]:
        """Arguments of the storage tool: SCRAM users can only be made while it formats."""
        return [
            argument
            for user, password in self._logins().items()
            for mechanism in SCRAM_MECHANISMS
            for argument in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]

    def _logins(self) -> dict[str, str]:
        return {**self.users, **self.strangers}

    def _sasl(self, name: str) -> list[str]:
        listener = f"listener.name.{name.lower()}"
        users = " ".join(f'user_{user}="{secret}"' for user, secret in self._logins().items())
        mechanisms = ",".join(["PLAIN", *SCRAM_MECHANISMS])
        return [
            f"{listener}.sasl.enabled.mechanisms={mechanisms}",
            f"{listener}.plain.sasl.jaas.config={_PLAIN} required {users};",
            *(
                f"{listener}.{mechanism.lower()}.sasl.jaas.config={_SCRAM} required;"
                for mechanism in SCRAM_MECHANISMS
            ),
        ]

    def _certificates(self) -> list[str]:
        if self.tls is None:
            return []
        return [
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.tls.keystore}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.tls.truststore}",
            "listener.name.ssl.ssl.client.auth=required",
            # The certificate's common name is the user.
            "ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/",
        ]

    def _rights(self) -> list[str]:
        """Grant everything to everybody but the strangers; without any, set no authorizer."""
        if not self.strangers:
            return []
        supers = ";".join(f"User:{user}" for user in ("ANONYMOUS", *self.users))
        return [f"authorizer.class.name={_AUTHORIZER}", f"super.users={supers}"]
