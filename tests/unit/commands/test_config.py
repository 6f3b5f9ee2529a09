"""Every setting, and where it is from."""

import pytest

from app.settings import known_variables, load
from app.settings.listing import rows


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    given = {
        "PERSISTER_PARTITIONS": "3",
        "PERSISTER_EXCLUDED_NAMESPACES": "b,a",
        "PERSISTER_COUCHDB_USER": "persister",
        "PERSISTER_COUCHDB_PASSWORD": "hidden",
        "PERSISTER_WEB_PORT": "",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


def test_every_variable_is_listed_once(environment: dict[str, str]) -> None:
    listed = [row.variable for row in rows(load(), environment)]
    assert len(listed) == len(set(listed))
    assert set(listed) == known_variables()


def test_each_setting_has_value_source_and_default(environment: dict[str, str]) -> None:
    found = {row.variable: row for row in rows(load(), environment)}
    partitions = found["PERSISTER_PARTITIONS"]
    assert (partitions.value, partitions.source, partitions.default) == ("3", "environment", "8")
    assert found["PERSISTER_EXCLUDED_NAMESPACES"].value == "a,b"
    assert found["PERSISTER_WEB_PORT"].source == "default"
    assert found["PERSISTER_DEAD_LETTERS_RETENTION"].value == "2592000"


def test_a_secret_is_not_shown(environment: dict[str, str]) -> None:
    assert all("hidden" not in repr(row) for row in rows(load(), environment))
