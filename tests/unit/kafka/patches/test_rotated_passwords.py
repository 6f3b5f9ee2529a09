import logging
from pathlib import Path
from typing import Any

import pytest

from app.kafka.clients import security_options
from app.kafka.patches import rotated_passwords
from app.kafka.patches.rotated_passwords import reading
from app.settings import KafkaSettings


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotated_passwords, "_files", {})
    monkeypatch.setattr(rotated_passwords, "_latest", {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "password"
    found.write_text("battery-staple\n")
    return found


def options(**given: Any) -> dict[str, Any]:
    login: dict[str, Any] = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
    return security_options(KafkaSettings(**login, sasl_user="worker", **given))


def connected(options: dict[str, Any]) -> str:
    """The password that a new connection of a client with these options logs in with."""
    used: list[str] = []
    init = reading(lambda _, *, sasl_plain_password, **__: used.append(sasl_plain_password))
    init(object(), **options)
    return used[0]


def test_each_connection_logs_in_with_what_the_file_says_then(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = options(sasl_password_file=file)
    assert connected(client) == "battery-staple"
    file.write_text("other-word\n")
    assert [connected(client), connected(client)] == ["other-word", "other-word"]
    assert [one.getMessage() for one in caplog.records] == [
        f"Another password for Kafka was read from {file}"
    ]


def test_a_file_that_cannot_be_read_leaves_the_password_that_was_read_last(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = options(sasl_password_file=file)
    file.write_text("other-word\n")
    assert connected(client) == "other-word"
    file.unlink()
    assert connected(client) == "other-word"
    assert "PERSISTER_KAFKA_PASSWORD_FILE: cannot read" in caplog.text


def test_a_password_that_was_given_itself_stays(file: Path) -> None:
    client = options(sasl_password="horse")
    options(sasl_password_file=file)
    assert connected(client) == "horse"
