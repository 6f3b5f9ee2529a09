"""Stand-ins for Kafka's producer and for CouchDB, and a client of the gateway between them."""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from openwhisk.publisher import Publisher
from tests.fakes.couchdb import FakeCouchDB
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


def asks_what_is_stored(request: Seen) -> bool:
    """Whether it is the gateway's question which documents are stored."""
    return (request.method, request.path) == ("POST", f"/{DATABASE}/_all_docs")


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeDatabase:
    """The fake CouchDB behind the gateway: records what reaches it, and may be told the answer."""

    def __init__(self) -> None:
        self.couchdb = FakeCouchDB(user=("whisk", "secret"), databases={DATABASE: {}})
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()
        """Set by each request."""
        self.answer: Answer | None = None
        """To all but the gateway's own questions, of those whose password is right."""
        self.passed: Answer | None = None
        """Answers whatever passes through the gateway, whoever sends it, before its body is read.
        """
        self.headers: Callable[[web.Request], dict[str, str]] = lambda _: {}
        """What every answer to a request has beside its own."""
        self.up = True
        self.url = ""

    @property
    def writes(self) -> list[Seen]:
        written = [request for request in self.seen if request.method in ("PUT", "POST")]
        return [one for one in written if not is_question(one) and not asks_what_is_stored(one)]

    @property
    def questions(self) -> list[Seen]:
        return [request for request in self.seen if is_question(request)]

    @property
    def held(self) -> dict[str, dict[str, Any]]:
        """The documents, but for design documents."""
        return {
            id_: {**one.content, "_rev": one.rev}
            for id_, one in self.couchdb.databases[DATABASE].items()
            if not one.deleted and not id_.startswith("_design/")
        }

    def write(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Write as somebody else; the entry of the document."""
        return self.couchdb.write(DATABASE, fields)

    def delete(self, document_id: str) -> None:
        """Delete as somebody else."""
        revision = {"_rev": self.held[document_id]["_rev"]}
        self.write({"_id": document_id, "_deleted": True, **revision})

    def fail(self, error: str) -> None:
        """Have every document fail with this error."""
        self.couchdb.validate = lambda _: {"error": error, "reason": "as told"}

    def validate(self, *names: str) -> None:
        """Let there be design documents with a validation function."""
        for name in names:
            self.write({"_id": name, "validate_doc_update": "function() {}"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.passed is not None and "X-Forwarded-Host" in request.headers:
            return await self.passed(request)
        body = await request.read()
        self.seen.append(Seen(request.method, request.raw_path, request.headers, body))
        self.asked.set()
        if not self.up:
            return web.json_response({}, status=503)
        authorized = request.headers.get("Authorization") == BASIC["Authorization"]
        if self.answer is not None and authorized and not self._is_own(request):
            return await self.answer(request)
        answer = await self.couchdb.answer(request)
        answer.headers.update(self.headers(request))
        return answer

    def _is_own(self, request: web.Request) -> bool:
        """Whether the gateway asks about users and their rights."""
        about_rights = "startkey=%22_design/%22" in request.raw_path
        return is_question(self.seen[-1]) or request.path == "/_session" or about_rights


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
