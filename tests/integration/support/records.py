"""Valid activation records, reproducible by seed, and the documents they must become."""

import json
import random
from typing import Any

_LETTERS = "abcdefghijklmnopqrstuvwxyz äöü日本"


class Records:
    """A source of records that differ in id, size, contents and outcome."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not a secret

    def one(self, **changes: Any) -> dict[str, Any]:
        """A record with some fields set."""
        chance = self._random
        start = 1_767_325_445_000 + chance.randrange(10**6)
        name = chance.choice(("hello", "resize", "nightly report"))
        namespace = chance.choice(("guest", "team-a", "org_dev.space"))
        return {
            "namespace": namespace,
            "name": name,
            "subject": "somebody",
            "activationId": f"{chance.getrandbits(128):032x}",
            "start": start,
            "end": start + chance.randrange(1000),
            "response": {
                "statusCode": chance.choice((0, 0, 0, 1, 2, 3)),
                "result": {"text": self._text(), "numbers": [1, -2, 0.5]},
            },
            "logs": [],
            "version": "0.0.1",
            "publish": False,
            "annotations": [
                {"key": "path", "value": f"{namespace}/{name}"},
                {"key": "kind", "value": "nodejs:20"},
            ],
        } | changes

    def many(self, count: int) -> list[dict[str, Any]]:
        """So many of them."""
        return [self.one() for _ in range(count)]

    def _text(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=self._random.randrange(10, 400)))


def encode(fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def result(record: object, **outer: Any) -> bytes:
    """A `ResultMessage`; with `instance=INVOKER` it is a combined one."""
    return encode({"transid": ["t0", 1_767_325_445_000], "response": record} | outer)


INVOKER = {
    "instance": 0,
    "instanceType": "invoker",
    "userMemory": "1024 MB",
    "tags": [],
    "dedicatedNamespaces": [],
}


def document_id(record: dict[str, Any]) -> str:
    return f"{record['namespace']}/{record['activationId']}"


def document(record: dict[str, Any], updated: int) -> dict[str, Any]:
    own = {"_id": document_id(record), "entityType": "activation", "updated": updated}
    return record | own
