"""Stand-ins for Kafka's producer and for CouchDB, and a client of the gateway between them."""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from openwhisk.gateway.revisions import first_revision
from openwhisk.publisher import Publisher
from tests.fakes.kafka import FakeBroker

TOPIC = "completed-others"
DATABASE = "whisk_activations"
BASIC = {"Authorization": "Basic d2hpc2s6c2VjcmV0"}


def record(**changed: Any) -> dict[str, Any]:
    """An activation record as OpenWhisk has it."""
    return {
        "namespace": "guest",
        "name": "hello",
        "subject": "guest-user",
        "activationId": secrets.token_hex(16),
        "start": 1767325445123,
        "end": 1767325445210,
        "response": {"statusCode": 0, "result": {"greeting": "Grüße 🎉"}},
        "logs": [],
        "version": "0.0.1",
        "publish": False,
        "annotations": [{"key": "path", "value": "guest/hello"}],
        "duration": 87,
    } | changed


def document(**changed: Any) -> dict[str, Any]:
    """The document that OpenWhisk's CouchDB store writes for it."""
    fields = record()
    own = {
        "_id": f"guest/{fields['activationId']}",
        "entityType": "activation",
        "updated": int(time.time() * 1000),
    }
    return {**fields, **own, **changed}


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class FakeProducer(FakeBroker):
    """Kafka behind the gateway; acknowledges at once unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.create(TOPIC, limit=20_000_000)

    @property
    def sent(self) -> list[tuple[str, bytes]]:
        """Topic and value of what was handed to Kafka, acknowledged or not."""
        return [(topic, record.value) for topic, record in self.handed]

    @property
    def timestamps(self) -> list[int]:
        """Of what was handed to Kafka."""
        return [record.timestamp for _, record in self.handed]

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(value) for _, value in self.sent]


@dataclass
class Seen:
    """A request that reached the database."""

    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def documents(self) -> list[dict[str, Any]]:
        docs: list[dict[str, Any]] = json.loads(self.body)["docs"]
        return docs


def is_question(request: Seen) -> bool:
    """Whether it is the gateway's question whether a user may write."""
    asked = (request.method, request.path) == ("POST", f"/{DATABASE}/_bulk_docs")
    return asked and request.body == b'{"docs":[]}' and "X-Forwarded-Host" not in request.headers


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def answered(status: int, **fields: Any) -> web.Response:
    return web.json_response(fields, status=status)


@dataclass
class FakeDatabase:
    """Records what reaches it; answers questions about users by password, the rest as told."""

    seen: list[Seen] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each request."""
    answer: Answer | None = None
    up: bool = True
    url: str = ""
    validating: list[str] = field(default_factory=list)
    """Design documents with a validation function."""

    @property
    def writes(self) -> list[Seen]:
        written = [request for request in self.seen if request.method in ("PUT", "POST")]
        return [request for request in written if not is_question(request)]

    @property
    def questions(self) -> list[Seen]:
        return [request for request in self.seen if is_question(request)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, request.headers, body))
        self.asked.set()
        return await (self._own(request) or self._told(request))

    def _own(self, request: web.Request) -> Awaitable[web.StreamResponse] | None:
        """The answer that does not depend on what a test says."""
        if not self.up:
            return answered(503)
        if request.headers.get("Authorization") != BASIC["Authorization"]:
            return answered(401, error="unauthorized", reason="Name or password is incorrect.")
        if is_question(self.seen[-1]):
            return answered(201)
        if request.path == "/_session":
            return answered(200, userCtx={"name": "whisk", "roles": []})
        if "startkey=%22_design/%22" in request.raw_path:
            return answered(200, rows=[self._design(name) for name in self.validating])
        return None

    async def _told(self, request: web.Request) -> web.StreamResponse:
        if self.answer is not None:
            return await self.answer(request)
        if request.raw_path.endswith("/_bulk_docs"):
            answers = [{"ok": True, "id": d["_id"], "rev": "1-x"} for d in self.seen[-1].documents]
            return web.json_response(answers, status=201)
        return await answered(200 if request.method == "GET" else 201, ok=True)

    def _design(self, name: str) -> dict[str, Any]:
        return {"id": name, "doc": {"_id": name, "validate_doc_update": "function() {}"}}


@dataclass
class Running:
    """A gateway that listens."""

    url: str
    port: int
    client: aiohttp.ClientSession
    publisher: Publisher

    def put(self, body: bytes, document_id: str, **headers: str) -> Any:
        path = document_id.replace("/", "%2F")
        return self._send("PUT", f"/{DATABASE}/{path}", body, headers)

    def bulk(self, body: bytes, **headers: str) -> Any:
        return self._send("POST", f"/{DATABASE}/_bulk_docs", body, headers)

    def put_document(self, fields: dict[str, Any], **headers: str) -> Any:
        return self.put(encoded(fields), fields["_id"], **headers)

    def bulk_documents(self, documents: list[dict[str, Any]], **headers: str) -> Any:
        return self.bulk(encoded({"docs": documents}), **headers)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **BASIC, **given}
        return self.client.request(method, self.url + path, data=body, headers=sent)


class Documents:
    """What a `FakeDatabase` holds when it is to behave as CouchDB does about documents."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        self.failing: str | None = None
        """The error of every document that is written."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.endswith("/_bulk_docs"):
            entries = [self.write(fields) for fields in json.loads(body)["docs"]]
            return web.json_response(entries, status=201)
        if request.path.endswith("/_all_docs"):
            rows = [{"key": key, "doc": self.held.get(key)} for key in json.loads(body)["keys"]]
            return web.json_response({"rows": rows})
        return self._document(request, unquote(request.raw_path.rpartition("/")[2]), body)

    def write(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The entry of one document of a `_bulk_docs` request."""
        document_id = fields["_id"]
        if self.failing:
            return {"id": document_id, "error": self.failing, "reason": "as told"}
        if fields.get("_rev") != self.held.get(document_id, {}).get("_rev"):
            return {"id": document_id, "error": "conflict", "reason": "Document update conflict."}
        number = int(fields["_rev"].partition("-")[0]) + 1 if "_rev" in fields else 1
        revision = first_revision(encoded(fields)) if number == 1 else f"{number}-x"
        self.held[document_id] = {**fields, "_rev": revision}
        return {"ok": True, "id": document_id, "rev": revision}

    def _document(self, request: web.Request, document_id: str, body: bytes) -> web.Response:
        given = request.headers.get("If-Match", "").strip('"')
        held = self.held.get(document_id)
        if request.method == "PUT":
            named = {"_rev": given} if given else {}
            entry = self.write(json.loads(body) | {"_id": document_id, **named})
            return web.json_response(entry, status=409 if "error" in entry else 201)
        if held is None:
            reason = "deleted" if document_id in self.deleted else "missing"
            return web.json_response({"error": "not_found", "reason": reason}, status=404)
        if request.method == "DELETE":
            if given != held["_rev"]:
                return web.json_response({"error": "conflict", "reason": ""}, status=409)
            del self.held[document_id]
            self.deleted.add(document_id)
            return web.json_response({"ok": True})
        return web.json_response(held)
