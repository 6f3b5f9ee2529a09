"""Renders the Helm chart for each set of values in its `ci` folder, and checks the result.

    make chart

Helm is looked for in HELM and on the PATH; where there is none and Go is, it is built into `.dev`.
What Kubernetes knows by itself is checked against its schemas, of the oldest and the newest version
that the chart is for; of the kinds of others (ServiceMonitor, ScaledObject) only that they parse.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from app.version import VERSION
from dev import paths
from dev.steps import SetupError, command, once, say

CHART = paths.PROJECT / "deploy" / "chart"
HELM_VERSION = "v3.19.2"
KUBERNETES = ("1.25", "1.34")
REFUSED = (
    "worker.replicas=3",
    "db.auth.username=whisk_admin",
    "kafka.privateAuthority=true",
    "settings.PERSISTER_PARTITIONS=3",
    "retention.olderThan=30",
    "keda.enabled=true,worker.replicaCount=9",
)
"""Values that are refused: with some, an operator would believe what is not so."""
FOREIGN = ("monitoring.coreos.com/", "keda.sh/")
"""Groups whose schemas come with what defines them."""


def helm() -> str:
    """A helm to run.

    Raises:
        SetupError: there is none, and none can be built.
    """
    found = os.environ.get("HELM") or shutil.which("helm")
    if found:
        return found
    folder = paths.HOME / "helm"
    if shutil.which("go") is None:
        raise SetupError(
            "the chart is checked with helm: install helm or Go, or give its path as HELM"
        )

    def build() -> None:
        say("helm is built with Go, once: that takes minutes")
        command(
            ["go", "install", f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"],
            env={**os.environ, "GOBIN": str(folder)},
        )

    once("helm", HELM_VERSION, folder / "stamp", build)
    return str(folder / "helm")


def rendered(program: str, values: Path) -> list[dict[str, Any]]:
    """The objects that the chart makes of some values."""
    done = template(program, "--values", str(values))
    if done.returncode:
        raise SetupError(f"{values.name}: {done.stderr.strip()}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def taken(program: str) -> Iterator[str]:
    """Which values are taken that ought to be refused."""
    for values in REFUSED:
        if not template(program, "--set", values).returncode:
            yield f"{values} is not refused"


def template(program: str, *values: str) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with some values."""
    return subprocess.run(
        [
            *(program, "template", "demo", str(CHART), "--namespace", "openwhisk"),
            *("--kube-version", f"{KUBERNETES[-1]}.0", *values),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with them."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["apiVersion"].startswith(FOREIGN):
            continue
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name}, Kubernetes {version}: {error.message} at {list(error.path)}"


def main() -> None:
    """Check the chart; exit code 1 if something is wrong."""
    try:
        program = helm()
        found = [
            f"{values.name}: {problem}"
            for values in sorted((CHART / "ci").glob("*.yaml"))
            for problem in problems(rendered(program, values))
        ]
        found += taken(program)
    except SetupError as error:
        sys.exit(f"Error: {error}")
    described = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if {described["version"], described["appVersion"]} != {VERSION}:
        found.append(f"Chart.yaml: its versions are not the project's, {VERSION}")
    if found:
        sys.exit("\n".join(found))
    say("the chart is fine")


if __name__ == "__main__":
    main()
