"""What is deployed names settings, files and ports that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import LogMode, known_variables
from app.settings.security import SaslMechanism, SecurityProtocol
from app.version import VERSION
from dev import paths
from openwhisk.gateway.settings import PREFIX as GATEWAY_PREFIX
from openwhisk.gateway.settings import GatewaySettings

KNOWN = known_variables() | {GATEWAY_PREFIX + name.upper() for name in GatewaySettings.model_fields}
DEPLOY = paths.PROJECT / "deploy"
WITH_SETTINGS = [
    paths.PROJECT / "README.md",
    paths.PROJECT / "compose.yaml",
    DEPLOY / "Dockerfile",
    *(DEPLOY / "systemd").iterdir(),
    *(DEPLOY / "chart" / "templates").iterdir(),
    *(DEPLOY / "chart" / "ci").iterdir(),
    *(paths.PROJECT / "docs").glob("*.md"),
]


def instructions() -> Iterator[tuple[str, list[str]]]:
    """Those of the Dockerfile, with their arguments."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, *arguments = line.split()
            yield name, arguments


def compose() -> dict[str, Any]:
    text = (paths.PROJECT / "compose.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


@pytest.mark.parametrize("file", WITH_SETTINGS, ids=lambda file: file.name)
def test_a_setting_that_is_named_exists(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w<{*])(?:PERSISTER|GATEWAY)_[A-Z_]*[A-Z](?![\w*\[…])", text))
    assert {name for name in named if not name.endswith("_")} - KNOWN == set()


def test_files_that_compose_mounts_exist() -> None:
    mounted = [
        volume.split(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted
    assert [file for file in mounted if not (paths.PROJECT / file).exists()] == []


def test_volumes_of_compose_are_declared_and_used() -> None:
    described = compose()
    used = {
        volume.split(":")[0]
        for service in described["services"].values()
        for volume in service.get("volumes", ())
        if not volume.startswith("./")
    }
    assert used == set(described["volumes"])


def test_ports_of_compose_are_on_loopback_and_the_targets_are_stages() -> None:
    stages = {arguments[-1] for name, arguments in instructions() if name == "FROM"}
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service.get("build", {}).get("target", "worker") in stages


def test_prometheus_asks_services_that_there_are_with_the_token_that_they_have() -> None:
    services = compose()["services"]
    scraped = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job for job in scraped["scrape_configs"]}
    assert set(jobs) <= set(services)
    token = services["persister"]["environment"]["PERSISTER_WEB_TOKEN"]
    assert jobs["persister"]["authorization"]["credentials"] == token


def test_the_image_copies_what_there_is_and_its_context_lets_through() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source
        for name, arguments in instructions()
        if name == "COPY"
        for source in arguments[:-1]
        if not source.startswith("--")
    }
    assert copied == let_through
    assert [source for source in copied if not (paths.PROJECT / source).exists()] == []


def schema_of(values: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths of values that the schema does not know, and of those that it alone knows."""
    known = schema.get("properties")
    if known is None or not isinstance(values, dict):
        return
    for name in sorted(values.keys() ^ (known.keys() - {"global"})):
        yield f"{path}.{name}"
    for name in values.keys() & known.keys():
        yield from schema_of(values[name], known[name], f"{path}.{name}")


def chart_schema() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((DEPLOY / "chart" / "values.schema.json").read_text())
    properties: dict[str, Any] = read["properties"]
    return properties | {"": read}


def test_the_schema_of_the_chart_knows_its_values_and_no_others() -> None:
    values = yaml.safe_load((DEPLOY / "chart" / "values.yaml").read_text(encoding="utf-8"))
    assert list(schema_of(values, chart_schema()[""])) == []


def test_the_schema_of_the_chart_takes_what_the_settings_take() -> None:
    schema = chart_schema()
    kafka = schema["kafka"]["properties"]
    assert set(kafka["securityProtocol"]["enum"]) == set(SecurityProtocol)
    assert set(kafka["saslMechanism"]["enum"]) == {"", *SaslMechanism}
    assert set(schema["logMode"]["enum"]) == set(LogMode)


def test_no_setting_is_given_twice_to_the_chart() -> None:
    templates = "".join(
        file.read_text(encoding="utf-8") for file in (DEPLOY / "chart" / "templates").iterdir()
    )
    by_itself = set(re.findall(r"name: ((?:PERSISTER|GATEWAY)_\w+)", templates))
    refused = set(chart_schema()["settings"]["propertyNames"]["not"]["enum"])
    assert by_itself <= refused <= KNOWN | {f"{name}_FILE" for name in KNOWN}


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((DEPLOY / "chart" / "Chart.yaml").read_text(encoding="utf-8"))
    assert {chart["version"], chart["appVersion"]} == {VERSION}
