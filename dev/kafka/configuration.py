"""The configuration of a broker that lives for one test run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dev.process import HOST

SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_FIXED = """\
process.roles=broker,controller
node.id=1
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

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Configuration:
    """What differs from broker to broker.

    Attributes:
        data: The folder of the log segments.
        port: Of the listener without authentication.
        controller_port: Of the KRaft controller.
        sasl_port: Of the listener with SASL; None: there is none.
        users: Passwords by user name, for SASL PLAIN and SCRAM.
    """

    data: Path
    port: int
    controller_port: int
    sasl_port: int | None = None
    users: Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> str:
        """The text of `server.properties`."""
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self.controller_port}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        if self.sasl_port is not None:
            listeners["SASL_PLAINTEXT"] = self.sasl_port
            protocols["SASL_PLAINTEXT"] = "SASL_PLAINTEXT"
        addresses = (f"{name}://{HOST}:{port}" for name, port in listeners.items())
        lines = [
            f"log.dirs={self.data}",
            f"listeners={','.join(addresses)}",
            f"controller.quorum.voters=1@{HOST}:{self.controller_port}",
            f"listener.security.protocol.map={','.join(map(':'.join, protocols.items()))}",
            *self._sasl(),
        ]
        return _FIXED + "\n".join(lines) + "\n"

    def format_arguments(self) -> list[str]:
        """Arguments of the storage tool: SCRAM users can only be made while it formats."""
        return [
            argument
            for user, password in self.users.items()
            for mechanism in SCRAM_MECHANISMS
            for argument in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]

    def _sasl(self) -> list[str]:
        if self.sasl_port is None:
            return []
        listener = "listener.name.sasl_plaintext"
        users = " ".join(f'user_{user}="{password}"' for user, password in self.users.items())
        return [
            f"sasl.enabled.mechanisms={','.join(['PLAIN', *SCRAM_MECHANISMS])}",
            f"{listener}.plain.sasl.jaas.config={_PLAIN} required {users};",
            *(
                f"{listener}.{mechanism.lower()}.sasl.jaas.config={_SCRAM} required;"
                for mechanism in SCRAM_MECHANISMS
            ),
        ]
