"""A cluster without a controller is an error of Kafka's, not of the program."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NotControllerError

from app.kafka.patches.missing_controller import miss_controllers, missing

ORIGINAL = inspect.unwrap(AIOKafkaAdminClient._send_to_controller)


class Client:
    def __init__(self, controller: Any) -> None:
        self._client = SimpleNamespace(
            cluster=SimpleNamespace(controller=controller), force_metadata_update=self._update
        )
        self.updates = 0

    async def _update(self) -> None:
        self.updates += 1

    async def _send_request_to_node(self, node: int, request: object) -> object:
        return node, request


async def test_a_controller_is_asked() -> None:
    client = Client(SimpleNamespace(nodeId=3))
    assert await missing(ORIGINAL)(client, "request") == (3, "request")


async def test_without_a_controller_it_is_an_error_that_may_pass() -> None:
    client = Client(None)
    with pytest.raises(NotControllerError) as raised:
        await missing(ORIGINAL)(client, "request")
    assert raised.value.retriable
    assert client.updates == 1


async def test_another_error_is_none_of_it() -> None:
    with pytest.raises(AttributeError):
        await missing(ORIGINAL)(Client(object()), "request")


def test_a_client_is_mended_once() -> None:
    miss_controllers()
    mended = AIOKafkaAdminClient._send_to_controller
    miss_controllers()
    assert AIOKafkaAdminClient._send_to_controller is mended
