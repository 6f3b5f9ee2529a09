"""An HTTP server that answers as Apache CouchDB 3.5 does, and misbehaves when told to.

How it answers while it is well is proven by `tests.contract.storing`. Documents live in memory.
Faults are scripted one by one for the coming `_bulk_docs` requests; after them it is well again.
"""

import asyncio
import hashlib
import json
import math
import re
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import unquote

from aiohttp import encode_basic_auth, web

from openwhisk.gateway.revisions import first_revision

Answer = Callable[[], Awaitable[web.Response]]
Fault = Callable[[web.Request, Answer], Awaitable[web.Response]]

PROBE = "persister-probe"
NOT_KEPT = {"_rev", "_revisions", "_deleted_conflicts", "_revs_info", "_local_seq", "_conflicts"}
"""Members that CouchDB takes and that are no part of the document."""

KNOWN_MEMBERS = NOT_KEPT | {
    "_id",
    "_deleted",
    "_attachments",
    "_replication_id",
    "_replication_state",
    "_replication_state_time",
    "_replication_state_reason",
    "_replication_stats",
}
KINDS = {"_deleted": bool, "_attachments": dict, "_revisions": dict}
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_$()+/-]*")
RESERVED_ID = re.compile(r"_(design|local)/.", re.DOTALL)
REVISION = re.compile(r"[0-9]+-.+")
SMALLEST_DOUBLE = 5e-324
LONGEST_DOUBLE = 400
"""More digits than the largest double has."""

STATUS_OF = {"conflict": 409, "forbidden": 403, "unauthorized": 401}
"""Of an entry's error, where one document alone was sent; others are 500."""

NOT_ADMIN = "You are not a db or server admin."
PAGE = "<html><body>This is not CouchDB</body></html>"


@dataclass
class Stored:
    """One document as it is kept."""

    content: dict[str, Any]
    rev: str
    deleted: bool = False


class RefusalError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(error)
        self.response = failure(status, error, reason)


def failure(
    status: int, error: str, reason: str, headers: dict[str, str] | None = None
) -> web.Response:
    """An error as CouchDB words it."""
    return web.json_response({"error": error, "reason": reason}, status=status, headers=headers)


@dataclass
class FakeCouchDB:
    """The server.

    Args:
        user: Name and password that every request must bring; None: anyone may do anything.
        administrator: Whether that user may create databases and design documents.
        member: Whether that user may do anything at all in a database.
        reader: Whether a member may read (Cloudant tells reading from writing).
        max_document_size: Bytes, `couchdb/max_document_size`.
        proxy_limit: Bytes of a request that a proxy in front lets through.
        sessions: Whether it gives cookies, as CouchDB does.
        public: Whether anybody may write to its databases, as far as their validation functions go:
            those want a user's name.
    """

    user: tuple[str, str] | None = None
    others: dict[str, str] = field(default_factory=dict)
    """More users like that one, with their passwords."""
    administrator: bool = True
    security: dict[str, Any] = field(default_factory=lambda: {"admins": {"roles": ["_admin"]}})
    """Who administers and reads each database."""
    member: bool = True
    reader: bool = True
    max_document_size: int = 8_000_000
    proxy_limit: int | None = None
    sessions: bool = False
    public: bool = False
    validate: Callable[[dict[str, Any]], Any] = lambda _: None
    """What a validation function throws: a reason to forbid, or an entry's `error` and `reason`."""
    databases: dict[str, dict[str, Stored]] = field(default_factory=dict)
    bulk_requests: list[list[str]] = field(default_factory=list)
    """The ids of every `_bulk_docs` request that could be read."""
    read_backs: list[list[str]] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    most_at_once: int = 0
    """The most `_bulk_docs` requests that were under way at a time."""
    partitioned: set[str] = field(default_factory=set)
    """Names of databases that are."""
    disk_full: bool = False
    may_mark: bool = True
    """Whether local documents are allowed."""
    welcomes: bool = True
    """Whether `GET /` is answered; a proxy may let only the database's own paths through."""
    unreadable: set[str] = field(default_factory=set)
    """Ids of documents whose place in the file is damaged."""
    unrevised: set[str] = field(default_factory=set)
    """Ids of documents that are read without their `_rev`, as behind a proxy that leaves it out."""
    unanswered: set[str] = field(default_factory=set)
    """Ids of documents of which an answer to many says nothing, as apache/couchdb#3059 has it."""
    refuses: Callable[[bytes], int | None] = lambda _: None
    """The status that a proxy in front answers a body of `_bulk_docs` with."""
    hangs: Callable[[bytes], asyncio.Event | None] = lambda _: None
    """Until when a `_bulk_docs` request with this body is not answered."""
    retry_after: int | None = None
    """Seconds that it asks to wait then."""
    local: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """Local documents, by id and by when their database was made."""
    refreshed: list[str] = field(default_factory=list)
    """Paths of views that were asked for no rows and answered."""
    index: Callable[[str], Awaitable[object]] = lambda _: asyncio.sleep(0)
    """Builds the index of the view with this path, before it is answered."""
    failing_views: set[str] = field(default_factory=set)
    """Paths of views that CouchDB has no process for."""
    probes: int = 0
    """Times that the persister's probe was written."""
    wrong_passwords: int = 0
    """That came: CouchDB 3.4 locks a user out after five."""
    url: str = ""
    _instances: dict[str, tuple[object, str]] = field(default_factory=dict)
    _ever: list[str] = field(default_factory=list)
    _at_once: int = 0
    _runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on a free port, or on a given one."""
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self.answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections from now on; the documents stay."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        """Listen again, where it did before."""
        await self.start(int(self.url.rsplit(":", 1)[1]))

    def write(self, database: str, document: dict[str, Any]) -> dict[str, Any]:
        """Write a document as somebody else, past every refusal; its entry."""
        return self._write(self.databases[database], document)

    def script(self, *faults: Fault) -> None:
        """Answer the coming `_bulk_docs` requests with these, one each."""
        self.faults.extend(faults)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What CouchDB answers; for whoever stands before it."""
        if self.user is not None:
            given = request.headers.get("Authorization", "")
            about = (request.method, request.path) == ("GET", "/_session")
            anybody = self.public or (about and "AuthSession" not in request.cookies)
            if not given and not anybody and self._signed_in(request) is None:
                reason = "You are not authorized to access this db."
                return failure(401, "unauthorized", reason)
            if given and self._name(given) is None:
                self.wrong_passwords += 1
                return failure(401, "unauthorized", "Name or password is incorrect.")
        try:
            return await self._routed(request)
        except RefusalError as refusal:
            return refusal.response

    async def _routed(self, request: web.Request) -> web.Response:
        if request.path == "/":
            return await self._welcome(request)
        if request.path == "/_session" and request.method == "POST":
            return await self._make_session(request)
        if request.path == "/_session":
            return self._about_session(request)
        return await self._dispatch(request)

    def _cookie(self) -> str | None:
        """Of the user with this password."""
        return hashlib.sha256(repr(self.user).encode()).hexdigest() if self.sessions else None

    def _name(self, authorization: str) -> str | None:
        """Of the user with these credentials."""
        users = [self.user] if self.user else []
        for name, password in [*users, *self.others.items()]:
            if authorization == encode_basic_auth(name, password):
                return name
        return None

    def _signed_in(self, request: web.Request) -> str | None:
        """The user of a request; None if it is anonymous, as with a cookie that is not valid."""
        if authorization := request.headers.get("Authorization"):
            return self._name(authorization)
        cookie = request.cookies.get("AuthSession")
        return self.user[0] if self.user and cookie and cookie == self._cookie() else None

    def _about_session(self, request: web.Request) -> web.Response:
        name = self._signed_in(request)
        roles = ["_admin"] if self.administrator and (name or self.user is None) else []
        return web.json_response({"ok": True, "userCtx": {"name": name, "roles": roles}})

    async def _make_session(self, request: web.Request) -> web.Response:
        if not self.sessions:
            raise RefusalError(404, "not_found", "missing")
        given = read_object(await request.read())
        if (given["name"], given["password"]) != self.user:
            raise RefusalError(401, "unauthorized", "Name or password is incorrect.")
        answer = web.json_response({"ok": True, "name": given["name"], "roles": []})
        answer.set_cookie("AuthSession", str(self._cookie()))
        return answer

    async def _welcome(self, _: web.Request) -> web.Response:
        if not self.welcomes:
            return web.Response(status=403, text=PAGE, content_type="text/html")
        vendor = {"name": "The Apache Software Foundation"}
        return web.json_response({"couchdb": "Welcome", "version": "3.5.0", "vendor": vendor})

    async def _dispatch(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        name, *segments = [segment for segment in path.split("/") if segment]
        name, rest = unquote(name), "/".join(segments)
        if not rest and request.method != "POST":
            return self._about_database(request.method, name)
        if name not in self.databases:
            raise RefusalError(404, "not_found", "Database does not exist.")
        self._check_member()
        database = self.databases[name]
        posts = {"": self._post, "_bulk_docs": self._bulk_docs, "_purge": self._purge}
        if request.method == "POST" and unquote(rest) in posts:
            return await posts[unquote(rest)](request, database)
        self._check_reader()
        gets = {"_all_docs": self._all_docs, "_security": self._security}
        if rest in gets:
            return await gets[rest](request, database)
        if rest.startswith("_local/"):
            return await self._local_document(request, (rest, self._made(name)))
        if "/_view/" in rest:
            return await self._view(request, database, rest)
        return await self._one_document(request, database, unquote(rest))

    async def _security(self, _request: web.Request, _database: object) -> web.Response:
        return web.json_response(self.security)

    async def _view(
        self, request: web.Request, database: dict[str, Stored], path: str
    ) -> web.Response:
        """A view without rows, once its index is built."""
        id_, _, name = unquote(path).rpartition("/_view/")
        if id_ not in database or database[id_].deleted:
            raise RefusalError(404, "not_found", "missing")
        if name not in database[id_].content.get("views", {}):
            raise RefusalError(404, "not_found", "missing_named_view")
        if path in self.failing_views:
            raise RefusalError(500, "os_process_error", "OS process timed out.")
        if request.query.get("update", "true") == "true":
            await self.index(path)
        if request.query.get("limit") == "0":
            self.refreshed.append(path)
        return web.json_response({"total_rows": 0, "offset": 0, "rows": []})

    def _check_member(self) -> None:
        if not self.member:
            raise RefusalError(403, "forbidden", "You are not allowed to access this db.")

    def _check_reader(self) -> None:
        if not self.reader:
            raise RefusalError(403, "forbidden", "_reader access is required for this request")

    def _about_database(self, method: str, name: str) -> web.Response:
        if method in ("PUT", "DELETE") and not self.administrator:
            raise RefusalError(401, "unauthorized", "You are not a server admin.")
        if method == "PUT":
            if not DATABASE_NAME.fullmatch(name):
                raise RefusalError(400, "illegal_database_name", f"Name: '{name}'.")
            if name in self.databases:
                reason = "The database could not be created, the file already exists."
                raise RefusalError(412, "file_exists", reason)
            self.databases[name] = {}
            return web.json_response({"ok": True}, status=201)
        if name not in self.databases:
            raise RefusalError(404, "not_found", "Database does not exist.")
        if method == "DELETE":
            del self.databases[name]
            return web.json_response({"ok": True})
        self._check_member()
        self._check_reader()
        documents = living(self.databases[name])
        return web.json_response(
            {
                "db_name": name,
                "doc_count": documents,
                "sizes": {"file": 4096 * documents},
                "props": {"partitioned": True} if name in self.partitioned else {},
                "instance_start_time": self._made(name),
            }
        )

    def _made(self, name: str) -> str:
        """When this database was made: another object is another database."""
        made = self._instances.get(name)
        if made is None or made[0] is not self.databases[name]:
            made = self._instances[name] = (self.databases[name], str(len(self._ever)))
            self._ever.append(made[1])
        return made[1]

    async def _one_document(
        self, request: web.Request, database: dict[str, Stored], id_: str
    ) -> web.Response:
        given = request.headers.get("If-Match", "").strip('"') or request.query.get("rev")
        if request.method in ("GET", "HEAD"):
            return self._read_one(database, id_, given)
        if request.method == "DELETE":
            return self._delete(database, id_, given)
        if id_.startswith("_design/") and not self.administrator:
            raise RefusalError(403, "forbidden", NOT_ADMIN)
        # The address counts, whatever the document says of itself.
        document = {**read_object(await request.read()), "_id": id_}
        if given:
            document["_rev"] = given
        self._check(document)
        return web.json_response(self._written(database, document), status=201)

    def _read_one(self, database: dict[str, Stored], id_: str, rev: str | None) -> web.Response:
        stored = self._living(database, id_)
        if rev is not None and rev != stored.rev:
            raise RefusalError(404, "not_found", "missing")
        content = {"_id": id_, "_rev": stored.rev, **stored.content}
        return web.json_response(content, headers={"ETag": f'"{stored.rev}"'})

    def _delete(self, database: dict[str, Stored], id_: str, rev: str | None) -> web.Response:
        self._living(database, id_)
        gone = {"_id": id_, "_deleted": True, **({"_rev": rev} if rev else {})}
        return web.json_response(self._written(database, gone))

    def _living(self, database: dict[str, Stored], id_: str) -> Stored:
        if id_ not in database:
            raise RefusalError(404, "not_found", "missing")
        if database[id_].deleted:
            raise RefusalError(404, "not_found", "deleted")
        return database[id_]

    def _written(self, database: dict[str, Stored], document: dict[str, Any]) -> dict[str, Any]:
        """The answer to one document alone."""
        entry = self._write(database, document)
        if error := entry.get("error"):
            raise RefusalError(STATUS_OF.get(error, 500), error, entry["reason"])
        return entry

    async def _local_document(self, request: web.Request, address: tuple[str, str]) -> web.Response:
        """No validation function sees it, and it conflicts with nothing: the last one stays."""
        if not self.may_mark:
            raise RefusalError(403, "forbidden", "not here")
        if request.method == "PUT":
            self.local[address] = read_object(await request.read())
            return web.json_response({"ok": True, "id": address[0], "rev": "0-1"}, status=201)
        if address not in self.local:
            raise RefusalError(404, "not_found", "missing")
        return web.json_response({**self.local[address], "_id": address[0], "_rev": "0-1"})

    async def _bulk_docs(self, request: web.Request, database: dict[str, Stored]) -> web.Response:
        body = await request.read()

        if (until := self.hangs(body)) is not None:
            await until.wait()
        if status := self.refuses(body):
            headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
            return web.Response(status=status, text=PAGE, headers=headers)

        async def answer() -> web.Response:
            if self.public and self._signed_in(request) is None:
                forbidden = {"error": "forbidden", "reason": "log in first"}
                entries = [{"id": one["_id"], **forbidden} for one in self._read(body)]
                return web.json_response(entries, status=201)
            return self._write_all(body, database)

        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.faults:
                return await self.faults.popleft()(request, answer)
            return await answer()
        finally:
            self._at_once -= 1

    def _write_all(self, body: bytes, database: dict[str, Stored]) -> web.Response:
        if self.proxy_limit is not None and len(body) > self.proxy_limit:
            return web.Response(status=413, text=PAGE, content_type="text/html")
        documents = self._read(body)
        ids = [one.get("_id", "") if isinstance(one, dict) else "" for one in documents]
        if ids == [PROBE]:
            self.probes += 1
        else:
            self.bulk_requests.append(ids)
        for document in documents:
            self._check(document)
            document.setdefault("_id", uuid.uuid4().hex)
        return web.json_response(
            [self._write(database, document) for document in documents], status=201
        )

    async def _post(self, request: web.Request, database: dict[str, Stored]) -> web.Response:
        document = read_object(await request.read())
        self._check(document)
        document.setdefault("_id", uuid.uuid4().hex)
        return web.json_response(self._written(database, document), status=201)

    async def _purge(self, request: web.Request, database: dict[str, Stored]) -> web.Response:
        purged: dict[str, list[str]] = {}
        for id_, revisions in read_object(await request.read()).items():
            there = id_ in database and database[id_].rev in revisions
            purged[id_] = [database.pop(id_).rev] if there else []
        return web.json_response({"purge_seq": None, "purged": purged}, status=201)

    def _read(self, body: bytes) -> list[dict[str, Any]]:
        content = read_object(body)
        if "docs" not in content:
            raise RefusalError(400, "bad_request", "POST body must include `docs` parameter.")
        if not isinstance(content["docs"], list):
            raise RefusalError(400, "bad_request", "`docs` parameter must be an array.")
        return content["docs"]

    def _check(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise RefusalError(400, "bad_request", "Document must be a JSON object")
        id_ = document.get("_id", "given")
        check_id(id_)
        for name in document.keys() - KNOWN_MEMBERS:
            if name.startswith("_"):
                raise RefusalError(400, "doc_validation", f"Bad special document member: {name}")
        for name, kind in KINDS.items():
            if name in document and not isinstance(document[name], kind):
                raise RefusalError(400, "doc_validation", f"Bad special document member: {name}")
        rev = document.get("_rev", "1-a")
        if not isinstance(rev, str) or not REVISION.fullmatch(rev):
            raise RefusalError(400, "bad_request", "Invalid rev format")
        if beyond_double(document):
            raise RefusalError(500, "unknown_error", "badarith")
        if len(json.dumps(document)) > self.max_document_size:
            raise RefusalError(413, "document_too_large", str(id_))

    def _write(self, database: dict[str, Stored], document: dict[str, Any]) -> dict[str, Any]:
        id_ = document["_id"]
        if self.disk_full:
            return {"id": id_, "error": "insufficent_storage", "reason": "database_dir is too full"}
        if id_.startswith("_design/") and not self.administrator:
            return {"id": id_, "error": "forbidden", "reason": NOT_ADMIN}
        before = database.get(id_)
        rev = document.get("_rev")
        follows = rev == before.rev if before and not before.deleted else rev is None
        if not follows:
            return {"id": id_, "error": "conflict", "reason": "Document update conflict."}
        if refused := self.validate(document):
            error = refused if isinstance(refused, dict) else {"error": "forbidden"}
            return {"id": id_, "reason": refused, **error}
        if before and before.deleted and document.get("_deleted"):
            return {"id": id_, "error": "conflict", "reason": "Document update conflict."}
        generation = int(before.rev.partition("-")[0]) + 1 if before else 1
        content = {name: value for name, value in document.items() if kept(name, value)}
        encoded = json.dumps(content).encode()
        digest = hashlib.md5(encoded).hexdigest()  # noqa: S324
        rev = f"{generation}-{digest}" if before else _first_revision(encoded, digest)
        database[id_] = Stored(content, rev, deleted=bool(content.get("_deleted")))
        return {"ok": True, "id": id_, "rev": rev}

    async def _all_docs(self, request: web.Request, database: dict[str, Stored]) -> web.Response:
        if request.method == "GET":
            first, last = (json.loads(request.query[end]) for end in ("startkey", "endkey"))
            ids = [id_ for id_, one in database.items() if first <= id_ < last and not one.deleted]
            found = [row(database, id_) for id_ in sorted(ids)]
            if request.query.get("include_docs") != "true":
                found = [{k: v for k, v in one.items() if k != "doc"} for one in found]
            return web.json_response({"total_rows": living(database), "offset": 0, "rows": found})
        keys = read_object(await request.read())["keys"]
        if not isinstance(keys, list):
            raise RefusalError(400, "bad_request", "`keys` body member must be an array.")
        if keys:
            self.read_backs.append(keys)
        if self.unreadable.intersection(keys):
            raise RefusalError(500, "error", "{badmatch,{error,checksum}}")
        rows = [row(database, key) for key in keys if key not in self.unanswered]
        for key in self.unrevised.intersection(keys):
            del rows[keys.index(key)]["doc"]["_rev"]
        return web.json_response({"total_rows": living(database), "offset": None, "rows": rows})


def _first_revision(encoded: bytes, else_: str) -> str:
    """CouchDB's; one of our own where the content has numbers of which that is not known."""
    try:
        return first_revision(encoded)
    except ValueError:
        return f"1-{else_}"


def living(database: dict[str, Stored]) -> int:
    """How many documents are not deleted."""
    return sum(not one.deleted for one in database.values())


def kept(name: str, value: Any) -> bool:
    """Whether a member is there when the document is read."""
    return name not in NOT_KEPT and (name not in ("_deleted", "_attachments") or bool(value))


def check_id(id_: Any) -> None:
    """Refuse what cannot be the id of a document."""
    reason = ""
    if not isinstance(id_, str):
        reason = "Document id must be a string"
    elif not id_:
        reason = "Document id must not be empty"
    elif id_ in ("_design/", "_local/"):
        reason = f"Illegal document id `{id_}`"
    elif id_.startswith("_") and not RESERVED_ID.match(id_):
        reason = "Only reserved document ids may start with underscore."
    if reason:
        raise RefusalError(400, "illegal_docid", reason)


def thrown(value: Any) -> dict[str, Any]:
    """The error and the reason of an entry when a validation function throws this."""
    if not isinstance(value, dict):
        return {"error": "unknown_error", "reason": value}
    [(error, reason)] = value.items()
    known = error in ("forbidden", "unauthorized")
    return {"error": error if known else "unknown_error", "reason": reason}


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a request must have as its body."""
    try:
        content = decode(body)
    except ValueError:
        raise RefusalError(400, "bad_request", "invalid UTF-8 JSON") from None
    if not isinstance(content, dict):
        raise RefusalError(400, "bad_request", "Request body must be a JSON object")
    return content


def row(database: dict[str, Stored], key: str) -> dict[str, Any]:
    """A row of `_all_docs?include_docs=true`."""
    stored = database.get(key)
    if stored is None:
        return {"key": key, "error": "not_found"}
    value: dict[str, Any] = {"rev": stored.rev}
    if stored.deleted:
        return {"id": key, "key": key, "value": {**value, "deleted": True}, "doc": None}
    return {"id": key, "key": key, "value": value, "doc": {**stored.content, "_rev": stored.rev}}


def decode(body: bytes) -> Any:
    """JSON as CouchDB reads it; raises `ValueError` for what it calls invalid."""
    content = json.loads(
        body.decode(), parse_float=_double, parse_int=_integer, parse_constant=_no_constant
    )
    json.dumps(content, ensure_ascii=False).encode()
    return content


def beyond_double(value: Any) -> bool:
    """Whether an integer beyond a double's range is anywhere in a JSON value."""
    if isinstance(value, dict):
        return any(map(beyond_double, value.values()))
    if isinstance(value, list):
        return any(map(beyond_double, value))
    try:
        return isinstance(value, int) and float(value) is None
    except OverflowError:
        return True


def _double(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(text)
    # CouchDB reads the other subnormal numbers nearly right, some of them exactly.
    return value if abs(value) > SMALLEST_DOUBLE else 0.0


def _integer(text: str) -> int:
    # Python reads no more than 4300 digits. All beyond a double are alike here.
    return int(text[:LONGEST_DOUBLE])


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def fails(
    status: int, error: str = "error", reason: str = "", headers: dict[str, str] | None = None
) -> Fault:
    """Answer with an error in CouchDB's form, and do nothing."""

    async def fault(_request: web.Request, _answer: Answer) -> web.Response:
        return failure(status, error, reason, headers)

    return fault


def shows_page(status: int, *, after_writing: bool = False) -> Fault:
    """Answer with a proxy's page."""

    async def fault(_request: web.Request, answer: Answer) -> web.Response:
        if after_writing:
            await answer()
        return web.Response(status=status, text=PAGE, content_type="text/html")

    return fault


def cuts(*, after_writing: bool) -> Fault:
    """Close the connection without an answer."""

    async def fault(request: web.Request, answer: Answer) -> web.Response:
        if after_writing:
            await answer()
        if request.transport is not None:
            request.transport.close()
        return web.Response()

    return fault


def holds(until: asyncio.Event) -> Fault:
    """Answer as it should, but not before an event."""

    async def fault(_request: web.Request, answer: Answer) -> web.Response:
        await until.wait()
        return await answer()

    return fault


def rewrites(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    *,
    status: int = 201,
    writing: bool = True,
) -> Fault:
    """Do what was asked (or not), but change the entries of the answer."""

    async def fault(request: web.Request, answer: Answer) -> web.Response:
        if writing:
            body = (await answer()).body
            assert isinstance(body, bytes)
            entries = json.loads(body)
        else:
            entries = [{"id": document["_id"]} for document in (await request.json())["docs"]]
        return web.json_response(change(entries), status=status)

    return fault
