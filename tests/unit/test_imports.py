"""What a process loads: only what it needs."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


WORKER = "from app import app; app.main"


@cache
def loaded(statement: str) -> frozenset[str]:
    """The packages and modules of a new process after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return frozenset(result.stdout.split())


def test_the_worker_loads_neither_the_producing_side_nor_the_development_environment() -> None:
    assert loaded(WORKER) & {"openwhisk", "dev", "tests"} == set()


def test_the_worker_loads_what_only_commands_need_when_they_are_run() -> None:
    assert (
        loaded(WORKER) & {"rich", "app.audit", "app.doctor", "app.expiry", "app.commands.trace"}
        == set()
    )


def test_the_gateway_does_without_faust() -> None:
    assert loaded("import openwhisk.gateway.serving") & {"faust", "mode", "agents", "dev"} == set()


@pytest.mark.parametrize("module", ["app.routing", "app.kafka.clients", "app.settings"])
def test_what_both_sides_use_needs_neither_agents_nor_openwhisk(module: str) -> None:
    assert loaded(f"import {module}") & {"agents", "openwhisk", "dev"} == set()
