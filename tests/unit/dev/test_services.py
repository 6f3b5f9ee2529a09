import sys
import threading

import pytest

from dev import services as module
from dev.__main__ import run
from dev.services import COUCHDB_URL, KAFKA_URL, install, services

OPERATORS = {KAFKA_URL: "kafka://broker.example:9092", COUCHDB_URL: "http://db.example:5984"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OPERATORS.items():
        monkeypatch.setenv(name, value)
    for name in ["kafka", "couchdb", "install_kafka", "install_couchdb"]:
        monkeypatch.delattr(module, name)


@pytest.mark.usefixtures("given")
def test_given_services_are_used_and_none_is_started() -> None:
    with services() as running:
        assert running.environment() == OPERATORS


@pytest.mark.usefixtures("given")
def test_the_command_sees_the_addresses_and_its_exit_code_is_returned() -> None:
    expected = [OPERATORS[KAFKA_URL], OPERATORS[COUCHDB_URL], OPERATORS[KAFKA_URL]]
    script = (
        "import os, sys;"
        f"seen = [os.environ[name] for name in ({KAFKA_URL!r}, {COUCHDB_URL!r}, 'BROKER')];"
        f"sys.exit(7 if seen == {expected!r} else 1)"
    )
    assert run([sys.executable, "-c", script], keep=None, kafka_variable="BROKER") == 7


@pytest.mark.usefixtures("given")
def test_a_command_ended_by_a_signal_is_told_as_a_shell_would() -> None:
    script = "import os; os.kill(os.getpid(), 9)"
    assert run([sys.executable, "-c", script], keep=None, kafka_variable=None) == 137


def test_both_are_installed_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2, timeout=10)
    for variable, name in ((KAFKA_URL, "install_kafka"), (COUCHDB_URL, "install_couchdb")):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(module, name, together.wait)
    install()
