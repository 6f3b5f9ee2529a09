from pathlib import Path

import pytest

from dev.kafka.configuration import Configuration


def properties(configuration: Configuration) -> dict[str, str]:
    lines = configuration.properties().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_without_users_there_is_one_open_listener() -> None:
    broker = Configuration(Path("/data"), port=1, controller_port=2)
    assert properties(broker)["listeners"] == "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"
    assert "sasl" not in broker.properties().lower()
    assert broker.format_arguments() == []


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_with_users_a_second_listener_takes_each_mechanism(mechanism: str) -> None:
    broker = Configuration(
        Path("/data"), port=1, controller_port=2, sasl_port=3, users={"ann": "secret"}
    )
    settings = properties(broker)
    assert "SASL_PLAINTEXT://127.0.0.1:3" in settings["listeners"]
    assert f"listener.name.sasl_plaintext.{mechanism}.sasl.jaas.config" in settings
    assert "SCRAM-SHA-512=[name=ann,password=secret]" in broker.format_arguments()
