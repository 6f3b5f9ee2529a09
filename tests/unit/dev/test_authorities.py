"""What downloaders trust."""

import os
from pathlib import Path

import pytest

from dev.authorities import VARIABLES, trusted, trusting


def test_the_systems_list_is_for_every_downloader(tmp_path: Path) -> None:
    bundle = tmp_path / "authorities.pem"
    bundle.touch()
    given = trusting({"PATH": "/bin"}, (tmp_path / "none.pem", bundle))
    assert given == {"PATH": "/bin"} | dict.fromkeys(VARIABLES, str(bundle))


def test_what_was_given_stays(tmp_path: Path) -> None:
    bundle = tmp_path / "authorities.pem"
    bundle.touch()
    assert trusting({"SSL_CERT_FILE": "/own.pem"}, (bundle,))["SSL_CERT_FILE"] == "/own.pem"


def test_without_a_list_of_the_system_each_keeps_its_own(tmp_path: Path) -> None:
    assert trusting({"PATH": "/bin"}, (tmp_path / "none.pem",)) == {"PATH": "/bin"}


def test_this_process_is_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with trusted():
        assert os.environ == trusting(before)
    assert os.environ == before
