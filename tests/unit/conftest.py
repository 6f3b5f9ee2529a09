import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from app.process.seldom import Seldom
from models.activation import Activation, ActivationResponse
from models.transid import TransactionId
from tests.fakes.publisher import FakePublisher

# How long an example takes is the machine's business; where it is ours, a test says so.
settings.register_profile(
    "unhurried",
    parent=settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _logs_of_each_test() -> Iterator[None]:
    """What one test has had logged is not held back from the next."""
    yield
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            for seldom in [one for one in logger.filters if isinstance(one, Seldom)]:
                logger.removeFilter(seldom)
                seldom.forget()


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def transid() -> TransactionId:
    return TransactionId(id="Zb3Hq1XkT0fWm8aL5rYc2NvUe7PdGs4J", start=1767325444990)


@pytest.fixture
def activation() -> Activation:
    return Activation(
        namespace="guest",
        name="hello",
        subject="guest",
        activation_id="000000010123456789abcdef01234567",
        start=1767325445123,
        end=1767325445210,
        response=ActivationResponse(status_code=0, result={"ok": True}, size=11),
        logs=[],
        version="0.0.1",
        publish=False,
        annotations={"path": "guest/hello", "kind": "nodejs:20"},
        duration=87,
    )
