import inspect
import os
import ssl
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.api import RequestStruct
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from app.kafka import access
from app.kafka.access import explain
from app.kafka.clients import broker_credentials, client_options, producer_options, security_options
from app.kafka.patches.refused_logins import refuses
from app.kafka.patches.unreadable_answers import Unreadable
from app.settings import KafkaSettings, Settings, SettingsError, load

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_USER": "persister",
    "KAFKA_PASSWORD": "correct horse",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PERSISTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(access, "unreadable", Unreadable())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """PEM files: an authority, a client's certificate and key, another key, an encrypted one."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    client, other = authority.issue_cert("a@example.org"), authority.issue_cert("b@example.org")
    encrypted = load_pem_private_key(client.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase")
    )
    contents = {
        "ca": authority.cert_pem.bytes(),
        "certificate": client.cert_chain_pems[0].bytes(),
        "key": client.private_key_pem.bytes(),
        "other-key": other.private_key_pem.bytes(),
        "encrypted-key": encrypted,
        "not-pem": b"correct horse",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in [*contents, "missing"]}


def read(monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"PERSISTER_{name}", str(value))
    return load()


def tls(files: dict[str, Path], **changes: Any) -> dict[str, Any]:
    return {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_CA_FILE": files["ca"],
        "KAFKA_CERTIFICATE_FILE": files["certificate"],
        "KAFKA_KEY_FILE": files["key"],
    } | changes


def test_without_settings_the_connection_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = read(monkeypatch, {}).kafka
    assert client_options(kafka) == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "PLAINTEXT",
    }
    assert broker_credentials(kafka) is None


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_client_logs_in_with_the_user_and_the_mechanism(
    monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    kafka = read(monkeypatch, SASL | {"KAFKA_SASL_MECHANISM": mechanism}).kafka
    expected = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "persister",
        "sasl_plain_password": "correct horse",
    }
    assert security_options(kafka) == expected
    assert client_options(kafka).items() >= expected.items()
    assert producer_options(kafka).items() >= expected.items()
    credentials = broker_credentials(kafka)
    assert isinstance(credentials, SASLCredentials)
    assert credentials_to_aiokafka_auth(credentials) == expected | {"ssl_context": None}


def test_tls_checks_the_broker_against_the_given_authority_alone(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]
) -> None:
    kafka = read(monkeypatch, tls(files)).kafka
    options = security_options(kafka)
    context = options["ssl_context"]
    assert options["security_protocol"] == "SSL"
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [dict(one["subject"][0]) for one in trusted(context)] == [
        {"organizationName": f"trustme v{version('trustme')}"}
    ]
    credentials = broker_credentials(kafka)
    assert isinstance(credentials, SSLCredentials)
    faust = credentials_to_aiokafka_auth(credentials)
    assert faust["security_protocol"] == "SSL"
    assert trusted(faust["ssl_context"]) == trusted(context)


def trusted(context: ssl.SSLContext) -> list[Any]:
    """The authorities that a connection trusts which is made now."""
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="kafka")
    return connection.context.get_ca_certs()


def test_tls_and_a_login_go_together(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]
) -> None:
    kafka = read(monkeypatch, SASL | tls(files, KAFKA_SECURITY_PROTOCOL="SASL_SSL")).kafka
    faust = credentials_to_aiokafka_auth(broker_credentials(kafka))
    for options in (client_options(kafka), faust):
        assert options["security_protocol"] == "SASL_SSL"
        assert options["sasl_mechanism"] == "SCRAM-SHA-512"
        assert isinstance(options["ssl_context"], ssl.SSLContext)


def test_the_password_is_the_first_line_of_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("from the file \n\n")
    variables = SASL | {"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": file}
    options = client_options(read(monkeypatch, variables).kafka)
    assert options["sasl_plain_password"] == "from the file "


def test_no_secret_is_in_a_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"WEB_TOKEN": "0123456789abcdef", "COUCHDB_PASSWORD": "battery staple"}
    settings = read(monkeypatch, SASL | secrets)
    shown = f"{settings!r} {settings.kafka} {broker_credentials(settings.kafka)!r}"
    for secret in ("correct horse", *secrets.values()):
        assert secret not in shown


def test_a_variable_of_kafka_is_not_taken_for_the_databases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read(monkeypatch, SASL)
    assert (settings.database.user, settings.database.password) == (None, None)


@pytest.mark.parametrize(
    "changes,named",
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL='TLS'"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM='GSSAPI'"),
        ({"KAFKA_SASL_MECHANISM": ""}, "KAFKA_SASL_MECHANISM is missing"),
        ({"KAFKA_USER": ""}, "KAFKA_USER is missing"),
        ({"KAFKA_PASSWORD": ""}, "KAFKA_PASSWORD[_FILE] is missing"),
        ({"KAFKA_PASSWORD_FILE": "/nowhere"}, "KAFKA_PASSWORD_FILE are both given"),
        (
            {"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": "/nowhere"},
            "cannot read /nowhere: No such",
        ),
        (
            {"KAFKA_PASSWORD": "", "KAFKA_PASSWORD_FILE": "/dev/null"},
            "/dev/null: it is not a regular file",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": ""}, "KAFKA_USER is given, but PERSISTER_KAFKA_SECURITY_"),
        ({"KAFKA_CA_FILE": "/ca"}, "KAFKA_CA_FILE is given, but PERSISTER_KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_what_does_not_go_together_is_named_without_the_password(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        read(monkeypatch, SASL | changes)
    assert named in str(raised.value)
    assert "correct horse" not in str(raised.value)


@pytest.mark.parametrize(
    "variable,file,named",
    [
        ("KAFKA_CA_FILE", "missing", "KAFKA_CA_FILE="),
        ("KAFKA_CA_FILE", "not-pem", "KAFKA_CA_FILE="),
        ("KAFKA_CERTIFICATE_FILE", "not-pem", "KAFKA_CERTIFICATE_FILE="),
        ("KAFKA_KEY_FILE", "missing", "KAFKA_KEY_FILE="),
        ("KAFKA_KEY_FILE", "other-key", "KAFKA_KEY_FILE="),
        ("KAFKA_KEY_FILE", "encrypted-key", "KAFKA_KEY_FILE="),
    ],
)
def test_a_file_of_tls_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, Path], variable: str, file: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as raised:
        read(monkeypatch, tls(files, **{variable: files[file]}))
    assert str(files[file]) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "correct horse" not in str(raised.value)


@pytest.mark.parametrize("variable", ["KAFKA_CERTIFICATE_FILE", "KAFKA_KEY_FILE"])
def test_a_certificate_and_its_key_need_each_other(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, Path], variable: str
) -> None:
    with pytest.raises(SettingsError, match="need each other"):
        read(monkeypatch, tls(files, **{variable: ""}))


@pytest.mark.parametrize(
    "url",
    [
        "kafka://somebody:hidden@127.0.0.1",
        "kafka://somebody:hid/den@127.0.0.1",
        "kafka://127.0.0.1;kafka://somebody:hidden;@127.0.0.1",
        "somebody:hidden@127.0.0.1:9092",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(SettingsError, match="KAFKA_URL") as raised:
        read(monkeypatch, {"KAFKA_URL": url})
    assert "hid" not in str(raised.value)


def closed(cause: BaseException | None) -> KafkaConnectionError:
    error = KafkaConnectionError("closed")
    error.__cause__ = cause
    return error


ALERT = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] certificate required")


@pytest.mark.parametrize(
    "error,final,named",
    [
        (SaslAuthenticationFailed("no"), True, "PERSISTER_KAFKA_PASSWORD"),
        (UnsupportedSaslMechanismError("no"), True, "PERSISTER_KAFKA_SASL_MECHANISM"),
        (IllegalSaslStateError("no"), True, "PERSISTER_KAFKA_SECURITY_PROTOCOL"),
        (closed(ALERT), True, "PERSISTER_KAFKA_CERTIFICATE_FILE"),
        (closed(EOFError()), False, "PERSISTER_KAFKA_SECURITY_PROTOCOL"),
        (ConnectionResetError(), False, "PERSISTER_KAFKA_SECURITY_PROTOCOL"),
        (ConnectionRefusedError(111, "refused"), False, "PERSISTER_KAFKA_URL"),
        (TimeoutError(), False, "PERSISTER_KAFKA_URL"),
        (RequestTimedOutError(), False, "no answer in time"),
        (GroupAuthorizationFailedError(), False, "may not use the consumer group"),
        (
            TopicAuthorizationFailedError("completed0"),
            False,
            "completed0: Kafka's user 'persister'",
        ),
        (TransactionalIdAuthorizationFailed("x"), False, "Write on this transactional id"),
        (KafkaTimeoutError("Failed to get offsets"), False, "no answer in time"),
        (closed(TimeoutError()), False, "no answer in time"),
        (closed(ConnectionRefusedError(111, "refused")), False, "Connection refused"),
        (closed(SaslAuthenticationFailed("no")), True, "PERSISTER_KAFKA_PASSWORD"),
        (GroupCoordinatorNotAvailableError(), False, "offsets.topic.replication.factor"),
        (GroupLoadInProgressError(), False, "no broker coordinates the group yet"),
    ],
)
def test_only_what_cannot_pass_by_itself_is_final_and_a_setting_is_named(
    error: Exception, *, final: bool, named: str
) -> None:
    settings = KafkaSettings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_user="persister",
        sasl_password="correct horse",
    )
    assert refuses(error) is final
    assert named in explain(error, settings)
    assert "correct horse" not in explain(error, settings)


@pytest.mark.parametrize(
    "owner,name",
    [
        (AIOKafkaConnection, "send"),
        (AIOKafkaConnection, "connect"),
        (AIOKafkaConnection, "_handle_frame"),
        (AIOKafkaClient, "_metadata_update"),
        (AIOKafkaClient, "force_metadata_update"),
        (AIOKafkaClient, "bootstrap"),
        (AIOKafkaAdminClient, "_send_to_controller"),
        (RequestStruct, "encode"),
    ],
)
def test_every_client_is_mended_not_only_a_workers(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    client_options(KafkaSettings())
    assert getattr(owner, name).applied


def test_when_time_is_up_the_last_unreadable_answer_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unreadable = Unreadable()
    monkeypatch.setattr(access, "unreadable", unreadable)
    unreadable.note("kafka-1:9092 announces an answer of -5 bytes")
    assert "kafka-1:9092 announces" in explain(KafkaTimeoutError(), KafkaSettings())
