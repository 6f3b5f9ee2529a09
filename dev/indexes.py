"""Translates pip's index settings for uv, so that both install from the same place.

Imports the standard library alone, as everything that runs before the packages are there.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

from dev.authorities import trusting

UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""What uv calls each of pip's settings."""

FLAGS = {"no-index"}
"""Settings that pip reads as yes or no; an empty one means no."""


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables for uv; settings for uv itself win over those for pip."""
    settings = {**_configured(), **_from_environment(environment)}
    translated = {
        UV[name]: value for name, value in settings.items() if name in UV and _is_set(name, value)
    }
    return {**translated, **environment}


def configuration(listed: str) -> dict[str, str]:
    """Parse the output of `pip config list`; later settings win."""
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, separator, written = line.partition("=")
        key = name.rpartition(".")[2]
        if separator and (name.startswith(("global.", "install.", ":env:."))):
            value = ast.literal_eval(written)
            settings[key] = " ".join(str(value).split())
    return settings


def _is_set(name: str, value: str) -> bool:
    return value.lower() not in {"", "0", "no", "false", "off"} if name in FLAGS else bool(value)


def _configured() -> dict[str, str]:
    """The settings in pip's configuration files; empty without pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return {} if listed.returncode else configuration(listed.stdout)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "PIP_"
    return {
        name.removeprefix(prefix).lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith(prefix)
    }


def inherited() -> dict[str, str]:
    """`uv_environment` of this process, which trusts what the system trusts."""
    return trusting(uv_environment(os.environ))
