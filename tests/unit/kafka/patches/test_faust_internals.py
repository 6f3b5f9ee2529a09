"""What the persister leans on inside Faust has not changed since it was read.

A method of Faust that is overridden, called past its public interface, or relied on in its order
of steps is listed with a digest of its source. When a new version changes one: read the change,
read what leans on it, run the integration tests and `make chaos`, and only then put in the new
digest, which the failure prints.
"""

import hashlib
import inspect
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher as AIOKafkaFetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder
from faust.agents.agent import Agent
from faust.app.base import App, BootStrategy
from faust.channels import Channel
from faust.events import Event
from faust.streams import Stream
from faust.tables.base import Collection
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.topics import Topic
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer, Fetcher
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    ConsumerRebalanceListener,
)
from faust.transport.drivers.aiokafka import Consumer as DriverConsumer
from faust.transport.drivers.aiokafka import Producer as DriverProducer
from faust.types.tuples import ConsumerMessage, Message
from mode import Service

PINNED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}
"""The versions that were read."""

DELIVERY = "app/kafka/delivery/consumer.py"
UNPACKING = "app/kafka/patches/fetched_batches.py"
COORDINATOR = "app/kafka/patches/committed_offsets.py"
MOVED = "app/kafka/patches/moved_brokers.py"
REFUSED = "app/kafka/patches/refused_offsets.py"
DISCOVERY = "app/kafka/discovery.py"
APPLICATION = "app/application.py"

LEANED_ON: list[tuple[Any, str, str]] = [
    (Consumer.__init__, DELIVERY, "302410d59e6972d1"),
    (Consumer.perform_seek, DELIVERY, "0e8c130ff4b0afd8"),
    (DriverConsumer.seek_to_committed, DELIVERY, "f1d483b861b0328b"),
    (Consumer.on_partitions_revoked, DELIVERY, "d04b7ae72c6fc206"),
    (Consumer.on_partitions_assigned, DELIVERY, "29ce96596f05a18c"),
    (Consumer.getmany, DELIVERY, "4b168d84882a70d6"),
    (Consumer._wait_next_records, DELIVERY, "6218e1969a636b3f"),
    (Consumer._drain_messages, DELIVERY, "44a2500309e83c63"),
    (Consumer.track_message, DELIVERY, "217d7f1399a4cd8e"),
    (Consumer.ack, DELIVERY, "5fcf41cf45153475"),
    (Consumer._wait_for_ack, DELIVERY, "d9c9337d4af88e54"),
    (Consumer.wait_empty, DELIVERY, "e4662fe24f094819"),
    (Consumer.on_stop, DELIVERY, "45b1d2210ce2b526"),
    (Consumer.commit, DELIVERY, "a354437baaa08bf8"),
    (Consumer.force_commit, DELIVERY, "cc094614d22c70fb"),
    (Consumer._filter_tps_with_pending_acks, DELIVERY, "f6f9239774234e7e"),
    (Consumer._commit_tps, DELIVERY, "a20e230b05ae8b15"),
    (Consumer._filter_committable_offsets, DELIVERY, "dc5e9baf5d994485"),
    (Consumer._handle_attached, DELIVERY, "48efe89d6c633cf6"),
    (Consumer._commit_offsets, DELIVERY, "1a69799041188441"),
    (Consumer._add_gap, DELIVERY, "4df2573ded7c1c2c"),
    (Consumer.stop_flow, DELIVERY, "cf7e875a2b0d40e8"),
    (Consumer.resume_flow, DELIVERY, "db59630f25b5819b"),
    (Consumer.verify_all_partitions_active, DELIVERY, "4e0e46f5c297305d"),
    (Fetcher._fetcher, DELIVERY, "68f894f0b577d810"),
    (DriverConsumer._new_consumer_thread, DELIVERY, "0870ec53dea75083"),
    (AIOKafkaConsumerThread.on_start, DELIVERY, "38b4e8bd1e10723a"),
    (AIOKafkaConsumerThread._fetch_records, DELIVERY, "39a2c6c79fc1455a"),
    (AIOKafkaConsumerThread.commit, DELIVERY, "d31c8558ba25310c"),
    (DriverProducer.flush, DELIVERY, "36d0cb3615f65b01"),
    (Recovery._verify_remaining, DELIVERY, "2427027d0c01623f"),
    (AIOKafkaClient._metadata_update, MOVED, "06dc51ed3e0d38b8"),
    (AIOKafkaClient._md_synchronizer, MOVED, "e0421bffa9a7735a"),
    (AIOKafkaClient.bootstrap, MOVED, "198943b004e55849"),
    (GroupCoordinator.commit_offsets, REFUSED, "5cbe31af28d6cc06"),
    (GroupCoordinator._do_commit_offsets, REFUSED, "c3a3ea5613f39cac"),
    (AIOKafkaFetcher.__init__, UNPACKING, "bf21ecb7e0f210b7"),
    (AIOKafkaFetcher._proc_fetch_request, UNPACKING, "59bf948fff47eed5"),
    (AIOKafkaFetcher.fetched_records, UNPACKING, "be4348896b9b66af"),
    (FetchResult.__init__, UNPACKING, "126a3e45763bd404"),
    (FetchResult.check_assignment, UNPACKING, "b5340df67e3f330f"),
    (FetchResult._update_position, UNPACKING, "83fb1473bf10027b"),
    (FetchResult.getall, UNPACKING, "3e717e30de5068d5"),
    (FetchResult.has_more, UNPACKING, "a25ee8ab93405df6"),
    (PartitionRecords._unpack_records, UNPACKING, "b803e6d46480732c"),
    (BatchBuilder.__init__, "app/kafka/producer.py", "35b335f054d36d27"),
    (BatchBuilder.append, "app/kafka/producer.py", "657d76f55157d9ca"),
    (BatchBuilder.record_count, "app/kafka/producer.py", "3a3d4948a3b70702"),
    (GroupCoordinator._do_fetch_commit_offsets, COORDINATOR, "b0f3598132715552"),
    (GroupCoordinator.fetch_committed_offsets, COORDINATOR, "6c049c7379165952"),
    (AIOKafkaConnection.send, "app/kafka/patches/closed_transport.py", "5909ea32f4efca49"),
    (AIOKafkaClient._md_synchronizer, "app/kafka/patches/closed_transport.py", "e0421bffa9a7735a"),
    (GroupCoordinator._send_req, COORDINATOR, "fa4b12e914ce9fcf"),
    (AIOKafkaConsumerThread._create_worker_consumer, DELIVERY, "c2701bfc3e6f6cad"),
    (AIOKafkaConsumerThread.getmany, DELIVERY, "26fc5fc9f3b667e1"),
    (AIOKafkaConsumerThread._fetch_records, DELIVERY, "39a2c6c79fc1455a"),
    (AIOKafkaConsumerThread._seek_wait, DELIVERY, "9d221e816d940467"),
    (AIOKafkaConsumerThread.seek_to_committed, DELIVERY, "775ab0adc4b052ab"),
    (AIOKafkaConsumerThread.earliest_offsets, DELIVERY, "5d697cd768735af7"),
    (AIOKafkaConsumerThread._commit, DELIVERY, "932852ce7a23f658"),
    (ConsumerRebalanceListener.on_partitions_revoked, DELIVERY, "348c3aec879faf80"),
    (ConsumerRebalanceListener.on_partitions_assigned, DELIVERY, "1c1f8406ad3698a6"),
    (ConsumerMessage, DELIVERY, "5edc45d571eb42a2"),
    (Message.ack, DELIVERY, "4751b72c4ed84153"),
    (Message.incref, DELIVERY, "78d34df830d3089b"),
    (Message.decref, DELIVERY, "f23396189d0e5592"),
    (Event.ack, "agents, app/storing/step.py", "2d29a6eda87c4ce5"),
    (Stream.noack, "agents", "921a6f5c674d32d4"),
    (Stream.events, "agents", "c62f4dd3a73fe7aa"),
    (Topic._compile_decode, "app/kafka/delivery/topic.py", "6474178f8c211c05"),
    (Topic._clone_args, "app/kafka/delivery/topic.py", "3b27dccaa673fe39"),
    (Topic.declare, "app/kafka/delivery/topic.py", "8fbfd8842b963d8d"),
    (Channel.clone, "app/kafka/delivery/topic.py", "8252a0ce722d607e"),
    (Channel.put, DELIVERY, "81477c39c70becce"),
    (Conductor._subscriber, DISCOVERY, "2a79085834048049"),
    (Conductor._update_indices, DISCOVERY, "619b3247b96ac7d5"),
    (Conductor._update_tp_index, DISCOVERY, "e8e3ac9025ef44f7"),
    (Conductor.add, DISCOVERY, "9944e209d2cc2250"),
    (Conductor.on_partitions_assigned, DISCOVERY, "616e9729131cf0bb"),
    (App._new_transport, APPLICATION, "42db531312dd776f"),
    (App._new_web, APPLICATION, "9558ffdcacfa13bd"),
    (App._on_agent_error, APPLICATION, "bdd12f286de64429"),
    (App._on_autodiscovery_error, APPLICATION, "e9b3027125350c6d"),
    (App._on_partitions_revoked, APPLICATION, "d5c895bbe57dc73a"),
    (App._on_partitions_assigned, APPLICATION, "de932b7927db85b3"),
    (App._stop_consumer, APPLICATION, "55854a5de12c3f52"),
    (App._consumer_wait_empty, APPLICATION, "6bc313c48c064b16"),
    (App.on_started, APPLICATION, "c03627f2dc44a1dd"),
    (BootStrategy.server, APPLICATION, "97e47ea1dec34b55"),
    (Agent._execute_actor, APPLICATION, "c750b828d2bda93e"),
    (Recovery.on_recovery_completed, APPLICATION, "6ef567acf072e46d"),
    (Recovery._restart_recovery, APPLICATION, "6bd8a8558a2dffe4"),
    (Recovery._wait, "app/kafka/patches/table_recovery.py", "ec7429b70176f8c6"),
    (Service.wait_first, "app/kafka/patches/table_recovery.py", "feade6a31f8a6789"),
    (
        vars(TableManager)["recovery"].fget,
        "app/kafka/patches/table_recovery.py",
        "f0bf5de78b4c3d23",
    ),
    (TableManager.on_partitions_revoked, APPLICATION, "382852adff42ab99"),
    (Collection._send_changelog, "app/storing/guard/guard.py", "ffe705dc73c1e67c"),
    (Collection.partition_for_key, "app/storing/guard/guard.py", "3b2291811b8dd791"),
    (Service.add_future, "app/storing/step.py", "515996de67f8a056"),
    (Service.sleep, DISCOVERY, "377e95908e87497d"),
    (Service.wait, DISCOVERY, "6a532eb86923612f"),
]
"""What is leaned on, what leans on it, and the digest of its source."""


def function(leaned_on: Any) -> Any:
    """The function itself, where mode wraps it as a background task."""
    return getattr(leaned_on, "fun", leaned_on)


def digest(leaned_on: Any) -> str:
    return hashlib.sha256(inspect.getsource(function(leaned_on)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("package", PINNED)
def test_the_pinned_versions_are_those_that_were_read(package: str) -> None:
    assert version(package) == PINNED[package], (
        f"{package} changed: read what changed in the methods listed in this file, and put in the "
        "new version"
    )


@pytest.mark.parametrize(
    "leaned_on,by,known",
    [pytest.param(*row, id=function(row[0]).__qualname__) for row in LEANED_ON],
)
def test_what_is_leaned_on_is_as_it_was_read(leaned_on: Any, by: str, known: str) -> None:
    now, source = digest(leaned_on), function(leaned_on)
    assert now == known, (
        f"{source.__module__}.{source.__qualname__} is not as it was read (digest {now} now): "
        f"read the change and {by}, which leans on it; see the head of this file"
    )


def test_the_compiled_part_of_faust_is_there() -> None:
    # Without it, events of an earlier generation are acknowledged unprocessed.
    compiled = import_module("faust._cython.streams").__file__
    assert str(compiled).endswith(".so")
