import pytest

from dev import indexes
from dev.indexes import configuration, uv_environment


@pytest.fixture(autouse=True)
def _without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_configured", dict)


def test_what_is_set_for_pip_counts_for_uv() -> None:
    given = {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example https://b.example",
        "PIP_CERT": "/ca.pem",
        "PIP_NO_INDEX": "0",
        "PIP_QUIET": "1",
    }
    assert uv_environment(given) == given | {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "UV_INDEX": "https://a.example https://b.example",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_what_is_set_for_uv_wins() -> None:
    given = {"PIP_INDEX_URL": "https://pip.example", "UV_DEFAULT_INDEX": "https://uv.example"}
    assert uv_environment(given) == given


def test_pips_files_are_read_and_its_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        "global.index-url='https://file.example/simple'\n"
        "global.extra-index-url='\\nhttps://a.example\\nhttps://b.example'\n"
        "list.format='freeze'\n"
    )
    monkeypatch.setattr(indexes, "_configured", lambda: configuration(listed))
    assert uv_environment({})["UV_DEFAULT_INDEX"] == "https://file.example/simple"
    assert uv_environment({})["UV_INDEX"] == "https://a.example https://b.example"
    given = {"PIP_INDEX_URL": "https://own.example"}
    assert uv_environment(given)["UV_DEFAULT_INDEX"] == "https://own.example"
