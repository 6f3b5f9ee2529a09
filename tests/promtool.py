"""Prometheus' own opinion of metrics and rules, where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed (Debian's package prometheus has it)",
)


def promtool(*arguments: str | Path, given: bytes = b"") -> None:
    """Have it check something; fails with what it says."""
    ran = subprocess.run(  # noqa: S603
        ["promtool", *arguments],  # noqa: S607 - wherever it is installed
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout.decode()
