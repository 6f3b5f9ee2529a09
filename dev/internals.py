"""Shows what a new version of Faust, mode or aiokafka changes in the internals we rely on.

    python -m dev.internals aiokafka==0.15.0

The persister overrides methods of these libraries, calls private ones, or relies on their order of
steps. Each is listed here with the module that relies on it. The script installs the version of
`requirements.txt` and the new one side by side, and shows a diff of every listed definition that
changed. Review each against the module that relies on it, run the integration tests and
`make chaos`, and only then upgrade.
"""

import argparse
import ast
import sys
import tempfile
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from functools import cache
from pathlib import Path

from dev import paths
from dev.steps import SetupError, command, say

PACKAGES = {"faust": "faust-streaming", "mode": "mode-streaming", "aiokafka": "aiokafka"}
"""What is installed, by the package that is imported."""

LEANED_ON: dict[str, tuple[str, ...]] = {
    "app/kafka/delivery/consumer.py": (
        "faust.transport.consumer:Consumer.__init__",
        "faust.transport.consumer:Consumer.perform_seek",
        "faust.transport.consumer:ThreadDelegateConsumer.seek_to_committed",
        "faust.transport.consumer:Consumer.on_partitions_revoked",
        "faust.transport.consumer:Consumer.on_partitions_assigned",
        "faust.transport.consumer:Consumer.getmany",
        "faust.transport.consumer:Consumer._wait_next_records",
        "faust.transport.consumer:Consumer._drain_messages",
        "faust.transport.consumer:Consumer.track_message",
        "faust.transport.consumer:Consumer.ack",
        "faust.transport.consumer:Consumer._wait_for_ack",
        "faust.transport.consumer:Consumer.wait_empty",
        "faust.transport.consumer:Consumer.on_stop",
        "faust.transport.consumer:Consumer.commit",
        "faust.transport.consumer:Consumer.force_commit",
        "faust.transport.consumer:Consumer._filter_tps_with_pending_acks",
        "faust.transport.consumer:Consumer._commit_tps",
        "faust.transport.consumer:Consumer._filter_committable_offsets",
        "faust.transport.consumer:Consumer._handle_attached",
        "faust.transport.consumer:Consumer._commit_offsets",
        "faust.transport.consumer:Consumer._add_gap",
        "faust.transport.consumer:Consumer.stop_flow",
        "faust.transport.consumer:Consumer.resume_flow",
        "faust.transport.consumer:Consumer._commit_handler",
        "faust.transport.consumer:Consumer._commit_livelock_detector",
        "faust.transport.consumer:Consumer._get_active_partitions",
        "faust.transport.consumer:Fetcher._fetcher",
        "faust.transport.drivers.aiokafka:Consumer._new_consumer_thread",
        "faust.transport.producer:ProducerBuffer.flush",
        "faust.transport.producer:ProducerBuffer.flush_atmost",
        "faust.transport.producer:ProducerBuffer._handle_pending",
        "faust.tables.recovery:Recovery._verify_remaining",
        "faust.tables.recovery:Recovery.on_recovery_completed",
        "mode.utils.queues:FlowControlEvent.resume",
        "faust.transport.drivers.aiokafka:ConsumerRebalanceListener.on_partitions_revoked",
        "faust.transport.drivers.aiokafka:ConsumerRebalanceListener.on_partitions_assigned",
        "faust.types.tuples:ConsumerMessage",
        "faust.types.tuples:Message.ack",
        "faust.types.tuples:Message.incref",
        "faust.types.tuples:Message.decref",
        "faust.channels:Channel.put",
    ),
    "app/kafka/delivery/thread.py": (
        "mode.threads:ServiceThread._keepalive2",
        "mode.threads:ServiceThread._thread_keepalive",
        "mode.threads:MethodQueue.call",
        "aiokafka.consumer.fetcher:Fetcher.fetched_records",
        "aiokafka.consumer.fetcher:Fetcher._create_fetch_waiter",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_start",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.commit",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.getmany",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._seek_wait",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.seek_to_committed",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.earliest_offsets",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._commit",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.highwater",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.topic_partitions",
    ),
    "app/kafka/delivery/transport.py": ("faust.transport.drivers.aiokafka:Producer.flush",),
    "app/kafka/patches/lost_wakeups.py": (
        "aiokafka.client:AIOKafkaClient.force_metadata_update",
        "aiokafka.client:AIOKafkaClient._md_synchronizer",
        "aiokafka.client:AIOKafkaClient.set_topics",
    ),
    "app/kafka/patches/moved_brokers.py": (
        "aiokafka.client:AIOKafkaClient._metadata_update",
        "aiokafka.client:AIOKafkaClient._md_synchronizer",
        "aiokafka.client:AIOKafkaClient.bootstrap",
    ),
    "app/kafka/patches/refused_logins.py": (
        "aiokafka.conn:AIOKafkaConnection.__init__",
        "aiokafka.conn:AIOKafkaConnection.connect",
        "aiokafka.conn:AIOKafkaConnection._do_sasl_handshake",
        "aiokafka.client:AIOKafkaClient._get_conn",
        "aiokafka.client:AIOKafkaClient.bootstrap",
    ),
    "app/kafka/patches/scram_iterations.py": (
        "aiokafka.conn:ScramAuthenticator.create_salted_password",
        "aiokafka.conn:ScramAuthenticator.process_server_first_message",
    ),
    "app/kafka/patches/changed_subscriptions.py": (
        "aiokafka.consumer.group_coordinator:GroupCoordinator.ensure_active_group",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.ensure_coordinator_known",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.__coordination_routine",
    ),
    "app/kafka/patches/rotated_passwords.py": ("aiokafka.conn:AIOKafkaConnection.__init__",),
    "app/kafka/patches/finished_fetches.py": (
        "aiokafka.consumer.fetcher:Fetcher._fetch_requests_routine",
        "aiokafka.consumer.fetcher:Fetcher._get_actions_per_node",
    ),
    "app/kafka/patches/closed_fetches.py": (
        "aiokafka.consumer.fetcher:Fetcher.close",
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.consumer.fetcher:Fetcher._fetch_requests_routine",
    ),
    "app/kafka/patches/waiting_fetches.py": (
        "aiokafka.client:AIOKafkaClient.send",
        "aiokafka.client:AIOKafkaClient._get_conn",
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.consumer.fetcher:Fetcher._proc_offset_request",
    ),
    "app/kafka/patches/refused_offsets.py": (
        "aiokafka.consumer.group_coordinator:GroupCoordinator.commit_offsets",
        "aiokafka.consumer.group_coordinator:GroupCoordinator._do_commit_offsets",
    ),
    "app/kafka/patches/refused_joins.py": (
        "aiokafka.consumer.group_coordinator:GroupCoordinator._push_error_to_user",
        "aiokafka.consumer.group_coordinator:GroupCoordinator._do_heartbeat",
        "aiokafka.consumer.group_coordinator:CoordinatorGroupRebalance.perform_group_join",
    ),
    "app/kafka/patches/stopping_members.py": (
        "faust.app.base:App._on_rebalance_when_stopped",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.close",
        "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_thread_stop",
        "mode.threads:ServiceThread._shutdown_thread",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.__coordination_routine",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.ensure_active_group",
        "aiokafka.consumer.group_coordinator:GroupCoordinator._do_rejoin_group",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.close",
    ),
    "app/kafka/patches/refused_fetches.py": (
        "aiokafka.client:AIOKafkaClient.send",
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.consumer.fetcher:Fetcher._get_actions_per_node",
    ),
    "app/kafka/patches/fetched_batches.py": (
        "aiokafka.consumer.fetcher:Fetcher.__init__",
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.consumer.fetcher:Fetcher.fetched_records",
        "aiokafka.consumer.fetcher:FetchResult.__init__",
        "aiokafka.consumer.fetcher:FetchResult.check_assignment",
        "aiokafka.consumer.fetcher:FetchResult._update_position",
        "aiokafka.consumer.fetcher:FetchResult.getall",
        "aiokafka.consumer.fetcher:FetchResult.has_more",
        "aiokafka.consumer.fetcher:PartitionRecords._unpack_records",
    ),
    "app/kafka/patches/fetch_budget.py": (
        "aiokafka.consumer.fetcher:Fetcher._fetch_requests_routine",
        "aiokafka.consumer.fetcher:Fetcher._get_actions_per_node",
        "aiokafka.consumer.fetcher:FetchResult.calculate_backoff",
    ),
    "app/kafka/patches/checked_batches.py": (
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.consumer.fetcher:FetchResult.getall",
        "aiokafka.consumer.fetcher:PartitionRecords.__init__",
    ),
    "app/kafka/producer.py": (
        "aiokafka.producer.message_accumulator:BatchBuilder.__init__",
        "aiokafka.producer.message_accumulator:BatchBuilder.append",
        "aiokafka.producer.message_accumulator:BatchBuilder.record_count",
    ),
    "app/kafka/patches/committed_offsets.py": (
        "aiokafka.consumer.group_coordinator:GroupCoordinator._do_fetch_commit_offsets",
        "aiokafka.consumer.group_coordinator:GroupCoordinator.fetch_committed_offsets",
        "aiokafka.consumer.group_coordinator:GroupCoordinator._send_req",
    ),
    "app/kafka/patches/plausible_answers.py": (
        "aiokafka.protocol.api:Request.prepare",
        "aiokafka.protocol.struct:Struct.decode",
    ),
    "app/kafka/patches/unreadable_answers.py": (
        "aiokafka.client:AIOKafkaClient._metadata_update",
        "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request",
        "aiokafka.conn:AIOKafkaConnection.connect",
        "aiokafka.conn:AIOKafkaConnection.send",
        "aiokafka.conn:AIOKafkaConnection._read",
        "aiokafka.conn:AIOKafkaConnection._handle_frame",
        "aiokafka.conn:AIOKafkaConnection._on_read_task_error",
    ),
    "app/kafka/patches/bootstrap_failures.py": ("aiokafka.client:AIOKafkaClient.bootstrap",),
    "app/kafka/patches/missing_controller.py": (
        "aiokafka.admin.client:AIOKafkaAdminClient._send_to_controller",
    ),
    "app/kafka/patches/copied_records.py": (
        "aiokafka.protocol.struct:Struct.encode",
        "aiokafka.protocol.types:Schema.encode",
        "aiokafka.protocol.types:Array.encode",
        "aiokafka.protocol.types:Bytes.encode",
    ),
    "app/kafka/patches/noted_throttling.py": ("aiokafka.protocol.struct:Struct.decode",),
    "app/kafka/patches/closed_transport.py": (
        "aiokafka.conn:AIOKafkaConnection.send",
        "aiokafka.client:AIOKafkaClient._md_synchronizer",
    ),
    "agents, app/storing/step.py": ("faust.events:Event.ack",),
    "agents": (
        "faust.streams:Stream.noack",
        "faust.streams:Stream.events",
    ),
    "app/kafka/delivery/topic.py": (
        "faust.topics:Topic._compile_decode",
        "faust.topics:Topic._clone_args",
        "faust.topics:Topic.declare",
        "faust.channels:Channel.clone",
    ),
    "app/kafka/discovery.py": (
        "faust.transport.conductor:Conductor._subscriber",
        "faust.transport.conductor:Conductor._update_indices",
        "faust.transport.conductor:Conductor._update_tp_index",
        "faust.transport.conductor:Conductor.add",
        "faust.transport.conductor:Conductor.on_partitions_assigned",
        "mode.services:Service.sleep",
        "mode.services:Service.wait",
    ),
    "app/storing/guard/table.py": (
        "faust.tables.table:Table.on_key_set",
        "faust.tables.table:Table.on_key_del",
        "faust.tables.base:Collection.send_changelog",
        "faust.tables.base:Collection.partition_for_key",
        "faust.tables.base:Collection.on_recovery_completed",
        "faust.stores.memory:Store.on_recovery_completed",
        "mode.utils.collections:ManagedUserDict.__setitem__",
    ),
    "app/process/still.py": (
        "faust.sensors.monitor:Monitor._sampler",
        "mode.supervisors:SupervisorStrategy._supervisor",
    ),
    "app/application.py": (
        "faust.app.base:App._new_transport",
        "faust.app.base:App._new_web",
        "faust.app.base:App._on_agent_error",
        "faust.app.base:App._on_autodiscovery_error",
        "faust.app.base:App._on_partitions_revoked",
        "faust.app.base:App._on_partitions_assigned",
        "faust.app.base:App._stop_consumer",
        "faust.app.base:App._consumer_wait_empty",
        "faust.app.base:App.on_started",
        "faust.app.base:BootStrategy.server",
        "faust.agents.agent:Agent._execute_actor",
        "faust.tables.recovery:Recovery.on_recovery_completed",
        "faust.tables.recovery:Recovery._restart_recovery",
        "faust.tables.manager:TableManager.on_partitions_revoked",
    ),
    "app/kafka/patches/table_recovery.py": (
        "faust.tables.recovery:Recovery._wait",
        "mode.services:Service.wait_first",
        "faust.tables.manager:TableManager.recovery",
    ),
    "app/storing/guard/guard.py": (
        "faust.tables.base:Collection._send_changelog",
        "faust.tables.base:Collection.partition_for_key",
    ),
    "app/storing/step.py": ("mode.services:Service.add_future",),
}
"""By the module that relies on it: `module:qualified name` of a function, method or class."""


class NotThere(Exception):  # noqa: N818 - what it is
    """The library's source has no such definition."""


def leaned_on(package: str) -> Iterator[tuple[str, str]]:
    """The listed definitions of a package, each with the module that relies on it."""
    for by, names in LEANED_ON.items():
        for name in names:
            if name.partition(".")[0] == package:
                yield name, by


def piece(folder: Path, name: str) -> str:
    """The source of `module:qualified name` in a folder of packages; raises `NotThere`."""
    module, _, qualified = name.partition(":")
    file = folder.joinpath(*module.split("."))
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    if not file.exists():
        raise NotThere(name)
    text, tree = _parsed(file)
    return ast.get_source_segment(text, found(tree, qualified), padded=True) or ""


@cache
def _parsed(file: Path) -> tuple[str, ast.Module]:
    text = file.read_text(encoding="utf-8")
    return text, ast.parse(text)


def found(tree: ast.Module, qualified: str) -> ast.stmt:
    """The definition of a qualified name; raises `NotThere`."""
    body: list[ast.stmt] = tree.body
    node: ast.stmt | None = None
    for part in qualified.split("."):
        node = next((each for each in body if getattr(each, "name", None) == part), None)
        if node is None:
            raise NotThere(qualified)
        body = getattr(node, "body", [])
    if node is None:
        raise NotThere(qualified)
    return node


def changes(old: Path, new: Path, names: Mapping[str, str]) -> Iterator[str]:
    """Describe each definition that differs: what relies on it, and the diff.

    Args:
        old: Folder of the packages of the known version.
        new: The same of the new one.
        names: What leans on each name.
    """
    for name, by in names.items():
        before = piece(old, name)
        try:
            after = piece(new, name)
        except NotThere:
            yield f"{name} is gone. {by} relies on it."
            continue
        if before != after:
            lines = unified_diff(before.splitlines(), after.splitlines(), n=2, lineterm="")
            shown = "\n".join(f"    {line}" for line in list(lines)[2:])
            yield f"{name} has changed. {by} relies on it.\n{shown}"


def known_version(distribution: str) -> str:
    """The requirement `name==version` from `requirements.txt`; raises `SetupError`."""
    lines = (paths.PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.partition("==")[0] == distribution:
            return line
    raise SetupError(f"{distribution} is not in requirements.txt")


def install(requirement: str, folder: Path) -> None:
    """Install a package without dependencies into a folder; raises `SetupError`."""
    pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    command([*pip, "--target", folder, requirement])


def main() -> int:
    """Print the changes; returns 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m dev.internals", description=__doc__)
    parser.add_argument("requirement", metavar="PACKAGE==VERSION", help="the new version")
    requirement = parser.parse_args().requirement
    distribution = requirement.partition("==")[0]
    package = next((name for name, of in PACKAGES.items() if of == distribution), None)
    if package is None:
        parser.error(f"nothing is known of {distribution}, only of {', '.join(PACKAGES.values())}")
    with tempfile.TemporaryDirectory() as temporary:
        old, new = Path(temporary, "old"), Path(temporary, "new")
        try:
            known = known_version(distribution)
            install(known, old)
            install(requirement, new)
        except SetupError as error:
            say(str(error))
            return 2
        names = dict(leaned_on(package))
        changed = list(changes(old, new, names))
    print("\n\n".join(changed))
    print(f"{len(changed)} of {len(names)} definitions differ between {known} and {requirement}.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
