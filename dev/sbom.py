"""`make sbom`: what an image holds, as a CycloneDX document, from `requirements.lock` alone.

The same lock makes the same document. Licences are those that installed packages name.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from app.version import VERSION
from dev import paths
from dev.steps import say

LOCK = paths.PROJECT / "requirements.lock"
SBOM = paths.PROJECT / "dist" / "sbom.cdx.json"

_NAME = "openwhisk-activation-persister"
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<only>[^\\]+))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LONGEST_LICENCE = 80


class Package(NamedTuple):
    """A package of the lock.

    Attributes:
        only: on which systems and Pythons it is installed; empty: on all.
        hashes: SHA-256 of each of its files.
    """

    name: str
    version: str
    only: str
    hashes: list[str]


def packages(lock: str) -> Iterator[Package]:
    """Everything that a lock pins."""
    for entry in lock.replace("\\\n", " ").splitlines():
        found = _PINNED.match(entry)
        if found:
            only = (found["only"] or "").partition("--hash")[0].strip()
            yield Package(found["name"], found["version"], only, _HASH.findall(entry))


def document(lock: str) -> dict[str, Any]:
    """The CycloneDX document of a lock."""
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, VERSION + lock)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": _NAME,
                "name": _NAME,
                "version": VERSION,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_component(package) for package in packages(lock)],
    }


def _component(package: Package) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name.lower().replace('_', '-')}@{package.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": content} for content in package.hashes],
    }
    if licence := _licence(package.name):
        component["licenses"] = [{"license": {"name": licence}}]
    if package.only:
        component["properties"] = [{"name": "python:marker", "value": package.only}]
    return component


def _licence(name: str) -> str | None:
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:  # not for this system
        return None
    fields = [field for field in ("License-Expression", "License") if field in about]
    named = about[fields[0]] if fields else ""
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    short = named if 0 < len(named) <= _LONGEST_LICENCE and "\n" not in named else ""
    return short or next(iter(classified), None)


def main() -> int:
    """Write it."""
    made = document(LOCK.read_text(encoding="utf-8"))
    SBOM.parent.mkdir(exist_ok=True)
    SBOM.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    say(f"{SBOM.relative_to(paths.PROJECT)}: {len(made['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
