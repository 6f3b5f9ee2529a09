"""The machine and the clocks, as the doctor sees them."""

import errno
import socket
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from app.doctor import State, machine
from app.doctor.database import clocks
from app.doctor.machine import examine_machine
from app.settings import WorkerSettings
from dev.process import free_port


def found(**settings: object) -> dict[str, tuple[State, str]]:
    findings = examine_machine(WorkerSettings.model_validate({"web_port": free_port(), **settings}))
    return {one.what: (one.state, one.detail) for one in findings}


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    assert found(datadir=folder)["data folder"] == (State.OK, str(folder))
    assert not folder.exists()


def test_a_folder_in_which_nothing_can_be_written_is_wrong() -> None:
    # Rights alone say that root may.
    state, detail = found(datadir="/proc/persister")["data folder"]
    assert state is State.WRONG
    assert "PERSISTER_DATADIR" in detail


def test_a_full_disk_is_said_and_keeps_no_worker_from_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    state, detail = found(datadir=tmp_path)["data folder"]
    assert state is State.WARNING
    assert "full" in detail


def test_a_folder_beneath_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state, detail = found(datadir=tmp_path / "file" / "data")["data folder"]
    assert state is State.WRONG
    assert "PERSISTER_DATADIR" in detail


class _Worker(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"live": true}')


def test_a_port_that_a_worker_has_taken_is_as_it_should_be() -> None:
    with HTTPServer(("127.0.0.1", 0), _Worker) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert found(web_port=server.server_port)["web endpoint"] == (
            State.OK,
            f"127.0.0.1, port {server.server_port}: a worker answers there",
        )


def test_a_port_that_something_else_has_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ANSWER_SECONDS", 0.1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        state, detail = found(web_port=taken.getsockname()[1])["web endpoint"]
    assert state is State.WRONG
    assert "PERSISTER_WEB_PORT" in detail


def test_clocks_that_differ_are_told() -> None:
    assert clocks(-1.2).state is State.OK
    assert clocks(3600).state is State.WARNING
    assert "3600 s ahead" in clocks(3600).detail
    assert "60 s behind" in clocks(-60).detail
