"""Settings from the environment: defaults, the names of variables, and what is said of mistakes."""

import os
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import trustme
from pydantic import ValidationError
from yarl import URL

from app.kafka.topics import TopicNames, own_topics
from app.process.preflight import why_not_to_be_had
from app.settings import (
    KafkaSettings,
    LogMode,
    Settings,
    SettingsError,
    StoreLevel,
    WorkerSettings,
    explained,
    known_variables,
    load,
    open_secrets,
)
from app.settings.base import unreadable, variables
from app.settings.database import DatabaseSettings
from app.settings.listing import of_group
from openwhisk.gateway.settings import Configuration, GatewaySettings, variable_of


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PERSISTER_")]:
        monkeypatch.delenv(name)


def mistakes(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """The lines of the error that these variables are."""
    for name, value in variables.items():
        monkeypatch.setenv(f"PERSISTER_{name}", value)
    with pytest.raises(SettingsError) as error:
        load()
    return str(error.value).splitlines()


STRANGE = (
    *("\udcff\udcfe", "http://\udcff", "\x01\x02", "\x1b[31mred", "a\nb", "\u202e", "٣", "😀"),
    *("x" * 100_000, "9" * 5000, "1" * 400, "a/" * 3000, "-1", "0", "1e300", "1e308", "1e-300"),
    *("nan", "inf", "-inf", "18446744073709551616", "{}", "[1,2]", "null", " ", "/", "/dev/zero"),
    *("/proc/self/mem", "http://", "http://[", "http://[::1", "http://a:99999", "http://a:b@c"),
    *("http://a b", "http://" + "a" * 300, "kafka://[", "kafka://a:99999999", ";", ",", "@", "%zz"),
)
"""Of what an environment may hold."""

ALL = sorted(known_variables() | {variable_of(name) for name in GatewaySettings.model_fields})


@pytest.mark.parametrize("variable", ALL)
def test_a_strange_value_is_taken_or_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    groups = [*get_type_hints(Settings).values(), GatewaySettings]
    known = {name: group for group in groups for name in names_of(group)}
    for value in STRANGE:
        monkeypatch.setenv(variable, value)
        found = unreadable(os.environ, known)
        try:
            group = found or known[variable]()
        except ValidationError as error:
            found = explained(error, variable.partition("_")[0] + "_")
        for line in found:
            assert variable.removesuffix("_FILE") in line
            assert line.replace("\n", "").isprintable()
            assert len(line) < 3000
        if not found:
            usable(group)


def names_of(group: Any) -> set[str]:
    if group is GatewaySettings:
        return {variable_of(name) for name in GatewaySettings.model_fields}
    return variables(group)


def usable(group: Any) -> None:
    """Do with it what comes before anything is connected."""
    match group:
        case GatewaySettings():
            made = Configuration(group, KafkaSettings(), LogMode.SEPARATE, "", None, "")
            assert made.topic_spec.partitions
        case KafkaSettings():
            own_topics(TopicNames(group.topic_prefix), group)
        case WorkerSettings():
            host = group.web_host
            URL(f"http://[{host}]" if ":" in host else f"http://{host}")
            why_not_to_be_had(host, group.web_port)
    "".join(row.value for row in of_group(group, os.environ, str)).encode()


def test_without_a_variable_the_defaults_count() -> None:
    settings = load()
    assert settings.kafka.url == "kafka://127.0.0.1:9092"
    assert settings.kafka.app_id == "activation-persister"
    assert settings.kafka.topic_prefix == ""
    assert settings.kafka.partitions == 8
    assert settings.routing.log_mode is LogMode.SEPARATE
    assert settings.routing.blocking_store_level is StoreLevel.STORE_ALWAYS
    assert settings.routing.excluded_namespaces == frozenset()
    assert settings.database.url == "http://127.0.0.1:5984"
    assert settings.database.name == "whisk_local_activations"
    assert settings.database.password is None
    assert (settings.worker.web_host, settings.worker.web_port) == ("127.0.0.1", 6066)


@pytest.mark.parametrize(
    "variable,value,group,field,read",
    [
        ("KAFKA_URL", "kafka://a:1;kafka://b:2", "kafka", "url", "kafka://a:1;kafka://b:2"),
        (
            "KAFKA_URL",
            "a:1, kafka://b:2;c",
            "kafka",
            "url",
            "kafka://a:1;kafka://b:2;kafka://c:9092",
        ),
        ("KAFKA_URL", "kafka://[::1]:9093", "kafka", "url", "kafka://[::1]:9093"),
        ("TOPIC_PREFIX", "ow-prod-", "kafka", "topic_prefix", "ow-prod-"),
        ("PARTITIONS", "3", "kafka", "partitions", 3),
        ("LOG_MODE", "in-record", "routing", "log_mode", LogMode.IN_RECORD),
        ("EXCLUDED_NAMESPACES", " a, b ,,", "routing", "excluded_namespaces", {"a", "b"}),
        (
            "NON_BLOCKING_STORE_LEVEL",
            "STORE_FAILURES",
            "routing",
            "non_blocking_store_level",
            StoreLevel.STORE_FAILURES,
        ),
        ("COUCHDB_URL", "https://db:6984/", "database", "url", "https://db:6984"),
        ("COUCHDB_URL", "db:5984", "database", "url", "http://db:5984"),
        ("COUCHDB_URL", "[::1]:5984/", "database", "url", "http://[::1]:5984"),
        ("DATABASE", "whisk_prod/activations", "database", "name", "whisk_prod/activations"),
        ("DATABASE_CREATE", "false", "database", "create", False),
        ("GUARD_RECORDS", "0", "guard", "records", 0),
        ("DATADIR", "/srv/data", "worker", "datadir", Path("/srv/data")),
        ("WEB_PORT", "8080", "worker", "web_port", 8080),
        ("SHUTDOWN_DEADLINE", "2.5", "worker", "shutdown_deadline", 2.5),
    ],
)
def test_each_variable_reaches_its_field(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, group: str, field: str, read: Any
) -> None:
    monkeypatch.setenv(f"PERSISTER_{variable}", value)
    assert getattr(getattr(load(), group), field) == read


def test_the_name_of_a_field_that_has_another_variable_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {
        name.upper()
        for group in get_type_hints(Settings).values()
        for name, field in group.model_fields.items()
        if field.alias and f"PERSISTER_{name.upper()}" not in known_variables()
    }
    lines = mistakes(monkeypatch, **dict.fromkeys(names, "1"))
    assert len(lines) == len(names) > 0
    assert all(" is no setting" in line for line in lines)
    assert DatabaseSettings(user="somebody", password="hidden").user == "somebody"


@pytest.mark.parametrize(
    "given,meant",
    [
        ("LOGMODE", "PERSISTER_LOG_MODE"),
        ("KAFKA_URLS", "PERSISTER_KAFKA_URL"),
        ("COUCHDB_PASSWD", "PERSISTER_COUCHDB_PASSWORD"),
        ("NON_BLOCKING_STORELEVEL", "PERSISTER_NON_BLOCKING_STORE_LEVEL"),
    ],
)
def test_a_misspelt_variable_is_a_mistake_that_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: str
) -> None:
    (line,) = mistakes(monkeypatch, **{given: "secret"})
    assert line.startswith(f"PERSISTER_{given} is no setting; {meant} ")
    assert "secret" not in line


@pytest.mark.parametrize(
    "name",
    ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_6066_TCP_ADDR"],
)
def test_what_kubernetes_sets_for_a_service_is_none_of_ours(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    defaults = load()
    monkeypatch.setenv(f"PERSISTER_{name}", "tcp://10.0.0.1:6066")
    monkeypatch.setenv(f"PERSISTER_WORKER_{name}", "tcp://10.0.0.1:6066")
    assert load() == defaults


def test_the_address_of_a_service_is_no_port_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets it where a service is named persister-web."""
    monkeypatch.setenv("PERSISTER_WEB_PORT", "tcp://10.0.0.1:7077")
    assert load().worker.web_port == 6066
    (line,) = mistakes(monkeypatch, WEB_PORT="http://10.0.0.1:7077")
    assert line.startswith("PERSISTER_WEB_PORT=")


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSISTER_PARTITIONS", "")
    monkeypatch.setenv("PERSISTER_KAFKA_URL", "")
    assert load().kafka.partitions == 8


@pytest.mark.parametrize(
    "variable,value",
    [
        ("KAFKA_URL", "kafka://a:9092;b:x"),
        ("KAFKA_URL", "a:9092/topic"),
        ("KAFKA_URL", " ; "),
        ("KAFKA_URL", "http://127.0.0.1:9092"),
        ("COUCHDB_URL", "ftp://127.0.0.1"),
        ("COUCHDB_URL", "http://"),
        ("COUCHDB_URL", "http://db:5984?timeout=5"),
        ("COUCHDB_URL", "http://db:5984/#/_all_dbs"),
        ("KAFKA_URL", "a:0"),
        ("REQUEST_TIMEOUT", "inf"),
        ("DOCUMENTS_PER_SECOND", "inf"),
        ("PARTITIONS", "0"),
        ("PARTITIONS", "many"),
        ("TOPIC_PREFIX", "with space"),
        ("APP_ID", "a/b"),
        ("LOG_MODE", "SEPARATE"),
        ("BLOCKING_STORE_LEVEL", "STORE_NEVER"),
        ("DATABASE", "Upper"),
        ("GUARD_AGE", "-1"),
        ("SHUTDOWN_DEADLINE", "0"),
        ("WEB_PORT", "70000"),
    ],
)
def test_a_mistake_is_one_line_with_the_variable_and_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    (line,) = mistakes(monkeypatch, **{variable: value})
    assert line.startswith(f"PERSISTER_{variable}='{value}': ")


def test_all_mistakes_of_all_groups_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = mistakes(monkeypatch, PARTITIONS="0", LOG_MODE="both", GUARD_AGE="-1", WEB_PORT="x")
    assert len(lines) == 4


@pytest.mark.parametrize("variable", ["KAFKA_URL", "COUCHDB_URL"])
@pytest.mark.parametrize("password", ["hidden", "hid/hidden", "hid@hidden", "hid#hidden"])
def test_credentials_in_an_address_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, password: str
) -> None:
    scheme = "kafka" if variable == "KAFKA_URL" else "http"
    lines = mistakes(monkeypatch, **{variable: f"{scheme}://user:{password}@host:1"})
    assert lines
    assert "hid" not in "\n".join(lines)


def test_a_password_comes_from_the_variable_or_the_first_line_of_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PERSISTER_COUCHDB_USER", "persister")
    monkeypatch.setenv("PERSISTER_COUCHDB_PASSWORD", "from variable")
    given = load().database.password
    assert given is not None
    assert given.get_secret_value() == "from variable"
    monkeypatch.delenv("PERSISTER_COUCHDB_PASSWORD")
    file = tmp_path / "password"
    file.write_text("from file\n")
    monkeypatch.setenv("PERSISTER_COUCHDB_PASSWORD_FILE", str(file))
    read = load().database.password
    assert read is not None
    assert read.get_secret_value() == "from file"


def test_a_password_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSISTER_COUCHDB_USER", "persister")
    monkeypatch.setenv("PERSISTER_COUCHDB_PASSWORD", "hidden")
    assert "hidden" not in f"{load()!r} {load()}"


def file_with(content: str | None, file: Path) -> Path:
    """The file, written; without content it does not exist."""
    if content is not None:
        file.write_text(content)
    return file


@pytest.mark.parametrize("content", [None, "", "\nsecond line\n"])
def test_a_password_file_without_a_password_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = file_with(content, tmp_path / "password")
    (line,) = mistakes(monkeypatch, COUCHDB_PASSWORD_FILE=str(file))
    assert str(file) in line
    assert "second" not in line


def test_a_password_file_that_is_none_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    endless = file_with("x" * 100_000, tmp_path / "endless")
    for file, why in (
        (pipe, "regular file"),
        (Path("/dev/zero"), "regular file"),
        (endless, "longer than"),
    ):
        (line,) = mistakes(monkeypatch, COUCHDB_PASSWORD_FILE=str(file))
        assert str(file) in line
        assert why in line
        assert "xx" not in line


def test_a_password_ends_with_its_line_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_bytes("a\x0cb\x85c\u2028d \r\nsecond\n".encode())
    monkeypatch.setenv("PERSISTER_COUCHDB_USER", "persister")
    monkeypatch.setenv("PERSISTER_COUCHDB_PASSWORD_FILE", str(file))
    read = load().database.password
    assert read is not None
    assert read.get_secret_value() == "a\x0cb\x85c\u2028d "


def test_a_user_without_a_password_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = mistakes(monkeypatch, COUCHDB_USER="persister")
    assert "PERSISTER_COUCHDB_PASSWORD" in line


def test_an_authority_for_the_database_is_a_pem_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("PERSISTER_COUCHDB_CA_FILE", str(file))
    assert load().database.ca_file == file


@pytest.mark.parametrize(
    "content",
    [None, "", "secret", "-----BEGIN PRIVATE KEY-----\nsecret==\n-----END PRIVATE KEY-----"],
)
def test_a_file_without_an_authority_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = file_with(content, tmp_path / "ca.pem")
    (line,) = mistakes(monkeypatch, COUCHDB_CA_FILE=str(file))
    assert line.startswith(f"PERSISTER_COUCHDB_CA_FILE='{file}': cannot be used (")
    assert "PEM" in line
    assert "secret" not in line


def test_a_folder_is_no_authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (line,) = mistakes(monkeypatch, COUCHDB_CA_FILE=str(tmp_path))
    assert line.startswith(f"PERSISTER_COUCHDB_CA_FILE='{tmp_path}': cannot be used (")


@pytest.mark.parametrize("prefix", ["", "ow-"])
def test_an_app_id_whose_topic_would_be_read_is_refused_with_both_names(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    app_id = f"{prefix}completed-persister"
    (line,) = mistakes(monkeypatch, APP_ID=app_id, TOPIC_PREFIX=prefix)
    assert f"PERSISTER_APP_ID={app_id}" in line
    assert f"{app_id}-guard-changelog" in line
    assert f"PERSISTER_TOPIC_PREFIX={prefix}" in line


def test_a_file_of_a_secret_that_everybody_may_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "PERSISTER_COUCHDB_PASSWORD_FILE": 0o644,
        "PERSISTER_WEB_TOKEN_FILE": 0o604,
        "PERSISTER_KAFKA_PASSWORD_FILE": 0o640,
    }
    for variable, mode in files.items():
        file = tmp_path / variable
        file.write_text("0123456789-abcdef\n")
        file.chmod(mode)
        monkeypatch.setenv(variable, str(file))
    monkeypatch.setenv("PERSISTER_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("PERSISTER_KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("PERSISTER_KAFKA_USER", "persister")
    settings = load()
    found = open_secrets((settings.kafka, settings.database, settings.worker))
    assert [line.partition(":")[0] for line in found] == list(files)[:2]
    assert all(str(tmp_path) in line and "0123" not in line for line in found)
