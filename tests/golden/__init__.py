"""Messages and documents of Apache OpenWhisk itself; see the README beside this file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.wire import Version

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Number:
    """A JSON number as it was written."""

    text: str


@dataclass(frozen=True)
class Case:
    """A message of OpenWhisk, and what its store made of it."""

    version: Version
    name: str
    topic: str
    kind: str
    message: bytes
    document: dict[str, Any] | None
    """Read by `exactly`, without `updated`; None where the store was not asked."""

    summary: dict[str, Any] | None
    """What the views give for the document, as plain JSON values."""

    def __str__(self) -> str:
        return f"{self.version}: {self.name}"


def exactly(text: str | bytes) -> Any:
    """Decode JSON so that only values written alike are equal: numbers keep their digits."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def cases() -> list[Case]:
    """All cases of both versions."""
    return [case for version in Version for case in _cases(version)]


def _cases(version: Version) -> list[Case]:
    lines = (_HERE / f"openwhisk-{version}.jsonl").read_text(encoding="utf-8").splitlines()
    plain = [json.loads(line) for line in lines]
    documents = {
        fields["case"]: (exactly(line)["document"], fields["summary"])
        for fields, line in zip(plain, lines, strict=True)
        if "document" in fields
    }
    return [
        Case(
            version,
            fields["case"],
            fields["topic"],
            fields["kind"],
            fields["message"].encode(),
            *documents.get(fields["case"], (None, None)),
        )
        for fields in plain
        if "message" in fields
    ]
