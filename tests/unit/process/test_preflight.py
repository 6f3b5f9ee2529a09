"""What ends a start with one line instead of a traceback."""

import resource
import socket
import stat
from pathlib import Path

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
