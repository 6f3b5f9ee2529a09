"""What ends a start with one line instead of a traceback."""

import os
import resource
import socket
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.process.errors import StartError
from app.process.preflight import check_port, prepare_folder, raise_open_files


def test_the_data_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "data"
    prepare_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_others_may_no_longer_look_into_a_folder_that_was_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_link_of_another_user_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, link = tmp_path / "victim", tmp_path / "data"
    victim.mkdir(mode=0o755)
    link.symlink_to(victim)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    about = SimpleNamespace(st_uid=4712, st_mode=stat.S_IFLNK)
    monkeypatch.setattr(Path, "lstat", lambda _: about)
    with pytest.raises(StartError, match="a link that another user has made"):
        prepare_folder(link)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755


@pytest.mark.parametrize("owner,warned", [(0, False), (4711, False), (4712, True)])
def test_a_folder_of_another_user_is_warned_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: int,
    *,
    warned: bool,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    monkeypatch.setattr(Path, "is_symlink", lambda _: False)
    monkeypatch.setattr(Path, "stat", lambda _: SimpleNamespace(st_uid=owner))
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    prepare_folder(tmp_path)
    assert ("belongs to another user" in caplog.text) == warned


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StartError, match=rf"{file}/data .*set PERSISTER_DATADIR"):
        prepare_folder(file / "data")


@pytest.mark.parametrize("host,family", [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_port_that_is_taken_is_named(host: str, family: socket.AddressFamily) -> None:
    with socket.socket(family) as other:
        other.bind((host, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"{host}, port {port} .*PERSISTER_WEB_PORT"):
            check_port(host, port)
    check_port(host, port)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(StartError, match="PERSISTER_WEB_HOST"):
        check_port("192.0.2.1", 0)


def test_as_many_files_may_be_open_as_the_user_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: changed.append(limits))
    raise_open_files()
    assert changed == [(4096, 4096)]


def test_too_few_open_files_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (64, 128))
    with pytest.raises(StartError, match="only 128 files"):
        raise_open_files()
