import pytest

from app.process.logs import LogFormat
from app.settings import SettingsError
from models.roles import TopicRole
from openwhisk.gateway.settings import load


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert load().gateway.listen_host == "127.0.0.1"


def test_the_upstream_is_the_persisters_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSISTER_COUCHDB_URL", "https://couch:6984/")
    monkeypatch.setenv("PERSISTER_DATABASE", "activations")
    assert (load().upstream, load().database) == ("https://couch:6984", "activations")


@pytest.mark.parametrize(
    "mode, topic, role",
    [
        ("separate", "ow-completed-others", TopicRole.OTHERS),
        ("in-record", "ow-activations", TopicRole.ACTIVATIONS),
    ],
)
def test_the_topic_follows_the_log_mode(
    monkeypatch: pytest.MonkeyPatch, mode: str, topic: str, role: TopicRole
) -> None:
    monkeypatch.setenv("PERSISTER_TOPIC_PREFIX", "ow-")
    monkeypatch.setenv("PERSISTER_LOG_MODE", mode)
    assert (load().topic, load().role) == (topic, role)
    monkeypatch.setenv("GATEWAY_TOPIC", "own")
    assert load().topic == "own"


def test_the_topic_takes_the_largest_record_for_an_hour() -> None:
    configuration = load()
    assert configuration.topic_spec.config["retention.ms"] == "3600000"
    largest = int(configuration.topic_spec.config["max.message.bytes"])
    assert largest > configuration.kafka.max_record_bytes


@pytest.mark.parametrize(
    "variable, value",
    [
        ("GATEWAY_LISTEN_PORT", "http"),
        ("GATEWAY_PUBLISH_DEADLINE", "-1"),
        ("GATEWAY_TOPIC", "a b"),
        ("PERSISTER_LOG_MODE", "both"),
        ("PERSISTER_COUCHDB_URL", "ftp://couch"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}='{value}': "):
        load()


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GATEWAY_LISTEN_PORT", "GATEWAY_LISTENPORT", "PERSISTER_PARTITIONS"):
        monkeypatch.setenv(variable, "many")
    with pytest.raises(SettingsError) as raised:
        load()
    named = [line.replace("=", " ").split()[0] for line in str(raised.value).splitlines()]
    assert named == ["GATEWAY_LISTEN_PORT", "GATEWAY_LISTENPORT", "PERSISTER_PARTITIONS"]


def test_credentials_in_a_wrong_setting_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN_PORT", "http://somebody:hidden@127.0.0.1:5985")
    with pytest.raises(SettingsError, match=r"^GATEWAY_LISTEN_PORT=.*127\.0\.0\.1:5985") as raised:
        load()
    assert "hidden" not in str(raised.value)


def test_a_misspelt_variable_is_named_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN_PRT", "5985")
    with pytest.raises(SettingsError, match=r"GATEWAY_LISTEN_PRT is no .*GATEWAY_LISTEN_PORT"):
        load()


def test_what_kubernetes_says_of_a_service_named_gateway_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("GATEWAY_PORT_5985_TCP", "tcp://10.0.0.1:5985")
    monkeypatch.setenv("GATEWAY_LISTEN_PORT", "tcp://10.0.0.1:7077")
    assert load().gateway.listen_port == 5985


def test_its_log_has_the_format_of_the_worker_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().log_format is LogFormat.TEXT
    monkeypatch.setenv("PERSISTER_LOG_FORMAT", "json")
    assert load().log_format is LogFormat.JSON
