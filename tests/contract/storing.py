"""What CouchDB answers, `tests.fakes.couchdb` as the real one: recorded from CouchDB 3.5.0.

The stand-in of `make test` is PouchDB behind a front, and differs in ways that are known: the cases
that it cannot do are left out where `GET /` says that it is the one who answers.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

import aiohttp
import pytest
from yarl import URL

VALIDATION = (
    "function (doc) { if ('throws' in doc) throw(doc.throws); if (doc.breaks) doc.no.such; }"
)
"""The validation function of this suite: a document says itself what is thrown at it."""

FORBIDS = {"forbidden": "not here"}
LARGE = "x" * 8_100_000
"""More than `max_document_size` is, unless somebody has set it."""

DIGITS_309 = b"9" * 309
JSON = {"Content-Type": "application/json"}

beyond_the_stand_in = pytest.mark.usefixtures("not_the_stand_in")


class CouchDB(Protocol):
    """A server, real or not."""

    url: str
    """With an administrator's name and password."""

    database: str
    """The name of a database that does not exist yet."""

    async def member(self) -> str:
        """The URL with the name of somebody who may read and write documents, and no more."""

    async def stranger(self) -> str:
        """The URL with the name of somebody who may do nothing in the database."""

    async def validate(self) -> None:
        """Have `VALIDATION` judge every document."""


class Client:
    """Sends to one database what a test says, byte for byte."""

    def __init__(self, http: aiohttp.ClientSession, url: str, database: str) -> None:
        self._http = http
        self._url = url
        self._database = database

    def at(self, url: str, database: str | None = None) -> "Client":
        """The same by another name, or in another database."""
        return Client(self._http, url, database or self._database)

    async def send(self, method: str, path: str = "", body: bytes | None = None) -> tuple[int, Any]:
        url = f"{self._url}/{self._database}{path}"
        async with self._http.request(method, url, data=body, headers=JSON) as answer:
            text = await answer.text()
        # PouchDB leaves the full stop out.
        text = text.replace('"Document update conflict"', '"Document update conflict."')
        return answer.status, json.loads(text)

    async def one_of(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, str]:
        """Status, JSON and revision of an answer about one document."""
        given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(f"{self._url}/{self._database}/{path}", encoded=True)
        async with self._http.request(method, url, data=body, headers=given) as answer:
            text = await answer.text()
            etag = answer.headers.get("ETag", "").strip('"')
            return answer.status, json.loads(text) if text else None, etag

    async def session(self) -> Any:
        """Who the server takes the client for."""
        async with self._http.get(f"{self._url}/_session") as answer:
            return (await answer.json(content_type=None))["userCtx"]

    async def welcome(self) -> Any:
        async with self._http.get(self._url) as answer:
            return await answer.json(content_type=None)

    async def bulk(self, *documents: Any) -> tuple[int, Any]:
        return await self.raw(*(json.dumps(document).encode() for document in documents))

    async def raw(self, *documents: bytes) -> tuple[int, Any]:
        return await self.send("POST", "/_bulk_docs", b'{"docs":[%s]}' % b",".join(documents))

    async def rows(self, *keys: str) -> list[Any]:
        body = json.dumps({"keys": keys}).encode()
        status, answer = await self.send("POST", "/_all_docs?include_docs=true", body)
        assert status == 200
        rows = answer["rows"]
        assert isinstance(rows, list)
        return rows

    async def one(self, id_: str) -> Any:
        """The document without its revision; None when there is none."""
        [row] = await self.rows(id_)
        found = row.get("doc")
        return found and {name: value for name, value in found.items() if name != "_rev"}

    async def made(self) -> str:
        _, about = await self.send("GET")
        made = about["instance_start_time"]
        assert isinstance(made, str)
        return made


def refused(error: str, reason: str) -> dict[str, str]:
    return {"error": error, "reason": reason}


def conflict(id_: str) -> dict[str, str]:
    return {"id": id_, **refused("conflict", "Document update conflict.")}


def written(entries: list[Any]) -> list[str]:
    """The ids of what was written; each entry of it has a revision."""
    return [one["id"] for one in entries if one.get("ok") and one["rev"].partition("-")[2]]


class Suite:
    """A database that is there and empty."""

    @pytest.fixture
    async def http(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession() as session:
            yield session

    @pytest.fixture
    async def client(self, http: aiohttp.ClientSession, couchdb: CouchDB) -> Client:
        client = Client(http, couchdb.url, couchdb.database)
        assert await client.send("PUT") == (201, {"ok": True})
        return client

    @pytest.fixture
    async def not_the_stand_in(self, client: Client) -> None:
        if "couchdb" not in await client.welcome():
            pytest.skip("the stand-in cannot do this")


class TestDatabases(Suite):
    @beyond_the_stand_in
    async def test_the_server_says_what_it_is(self, client: Client) -> None:
        welcome = await client.welcome()
        assert welcome["couchdb"] == "Welcome"
        assert welcome["version"].startswith("3.")
        assert welcome["vendor"] == {"name": "The Apache Software Foundation"}

    async def test_a_database_is_made_once(self, client: Client) -> None:
        status, answer = await client.send("PUT")
        assert (status, answer["error"]) == (412, "file_exists")
        assert (await client.send("GET"))[1]["doc_count"] == 0

    @beyond_the_stand_in
    async def test_a_name_that_none_can_have(self, client: Client, couchdb: CouchDB) -> None:
        status, answer = await client.at(couchdb.url, "Capital").send("PUT")
        assert (status, answer["error"]) == (400, "illegal_database_name")

    async def test_one_that_is_missing(self, client: Client, couchdb: CouchDB) -> None:
        missing = client.at(couchdb.url, f"{couchdb.database}-none")
        for answer in (
            await missing.send("GET"),
            await missing.bulk(),
            await missing.send("POST", "/_all_docs?include_docs=true", b'{"keys":[]}'),
        ):
            assert answer[0] == 404
            assert answer[1]["error"] == "not_found"

    @beyond_the_stand_in
    async def test_one_that_was_made_again_is_another(self, client: Client) -> None:
        before = await client.made()
        await client.bulk({"_id": "a"})
        assert await client.made() == before
        # CouchDB counts whole seconds.
        async with asyncio.timeout(10):
            while await client.made() == before:
                await asyncio.sleep(0.3)
                assert await client.send("DELETE") == (200, {"ok": True})
                assert await client.send("PUT") == (201, {"ok": True})
        assert await client.one("a") is None

    async def test_what_is_local_is_in_no_list_and_goes_with_its_database(
        self, client: Client
    ) -> None:
        path = "/_local/mark"
        assert await client.send("GET", path) == (404, refused("not_found", "missing"))
        assert (await client.send("PUT", path, b'{"mark": "first"}'))[0] == 201
        _, kept = await client.send("GET", path)
        assert kept["mark"] == "first"
        await client.send("DELETE")
        await client.send("PUT")
        assert (await client.send("GET", path))[0] == 404, "also when it is made within a second"

    @beyond_the_stand_in
    async def test_what_is_local_is_replaced_without_a_revision(self, client: Client) -> None:
        for mark in (b'{"mark": "first"}', b'{"mark": "second"}'):
            assert (await client.send("PUT", "/_local/mark", mark))[0] == 201
        _, kept = await client.send("GET", "/_local/mark")
        assert kept["mark"] == "second"


class TestRights(Suite):
    @beyond_the_stand_in
    async def test_a_request_without_a_name_is_unauthorized(
        self, client: Client, couchdb: CouchDB
    ) -> None:
        nobody = client.at(couchdb.url.replace(couchdb.url.split("//")[1].split("@")[0] + "@", ""))
        answer = refused("unauthorized", "You are not authorized to access this db.")
        assert await nobody.bulk() == (401, answer)

    async def test_a_wrong_name_is_unauthorized(self, client: Client, couchdb: CouchDB) -> None:
        # A name that nobody has: CouchDB locks accounts.
        wrong = couchdb.url.replace(couchdb.url.split("//")[1].split("@")[0], "nobody-at-all:wrong")
        answer = refused("unauthorized", "Name or password is incorrect.")
        assert await client.at(wrong).bulk() == (401, answer)

    @beyond_the_stand_in
    async def test_a_member_makes_no_database_and_no_design_document(
        self, client: Client, couchdb: CouchDB
    ) -> None:
        member = client.at(await couchdb.member())
        assert await member.bulk() == (201, [])
        assert written((await member.bulk({"_id": "a"}))[1]) == ["a"]
        design = refused("forbidden", "You are not a db or server admin.")
        assert await member.send("PUT", "/_design/a", b"{}") == (403, design)
        assert await member.bulk({"_id": "_design/a"}) == (201, [{"id": "_design/a", **design}])
        answer = refused("unauthorized", "You are not a server admin.")
        assert await member.send("PUT") == await member.send("DELETE") == (401, answer)
        assert (await member.session())["roles"] == []

    @beyond_the_stand_in
    async def test_a_stranger_may_do_nothing(self, client: Client, couchdb: CouchDB) -> None:
        stranger = client.at(await couchdb.stranger())
        answer = refused("forbidden", "You are not allowed to access this db.")
        assert await stranger.send("GET") == (403, answer)
        assert await stranger.bulk() == (403, answer)
        assert await stranger.send("PUT", "/_design/a", b"{}") == (403, answer)


class TestWriting(Suite):
    async def test_an_empty_request_is_answered_with_nothing(self, client: Client) -> None:
        assert await client.bulk() == (201, [])

    async def test_new_documents_are_written(self, client: Client) -> None:
        status, entries = await client.bulk({"_id": "a", "n": 1}, {"_id": "b b/ä"})
        assert (status, written(entries)) == (201, ["a", "b b/ä"])
        assert all(entry["rev"].startswith("1-") for entry in entries)
        assert await client.one("a") == {"_id": "a", "n": 1}

    async def test_a_document_without_an_id_is_given_one(self, client: Client) -> None:
        status, [entry] = await client.bulk({"n": 1})
        assert status == 201
        assert await client.one(entry["id"]) == {"_id": entry["id"], "n": 1}

    async def test_an_existing_id_is_a_conflict(self, client: Client) -> None:
        await client.bulk({"_id": "a"})
        status, entries = await client.bulk({"_id": "a", "n": 1}, {"_id": "b"})
        assert (status, entries[0]) == (201, conflict("a"))
        assert written(entries) == ["b"]
        assert await client.bulk({"_id": "a"}) == (201, [conflict("a")])

    async def test_of_one_id_twice_in_a_request_the_first_is_written(self, client: Client) -> None:
        _, entries = await client.bulk({"_id": "a", "n": 1}, {"_id": "a", "n": 2}, {"_id": "b"})
        assert written(entries) == ["a", "b"]
        assert conflict("a") in entries
        assert await client.one("a") == {"_id": "a", "n": 1}

    async def test_a_revision_replaces_the_one_before(self, client: Client) -> None:
        _, [first] = await client.bulk({"_id": "a", "n": 1})
        _, [second] = await client.bulk({"_id": "a", "_rev": first["rev"], "n": 2})
        assert second["rev"].startswith("2-")
        assert await client.bulk({"_id": "a", "_rev": first["rev"]}) == (201, [conflict("a")])
        assert await client.one("a") == {"_id": "a", "n": 2}

    async def test_a_deleted_id_can_be_written_again(self, client: Client) -> None:
        _, [first] = await client.bulk({"_id": "a"})
        _, [deleted] = await client.bulk({"_id": "a", "_rev": first["rev"], "_deleted": True})
        value = {"rev": deleted["rev"], "deleted": True}
        assert await client.rows("a") == [{"id": "a", "key": "a", "value": value, "doc": None}]
        assert await client.bulk({"_id": "a", "_deleted": True}) == (201, [conflict("a")])
        assert written((await client.bulk({"_id": "a", "n": 2}))[1]) == ["a"]
        assert await client.one("a") == {"_id": "a", "n": 2}

    @beyond_the_stand_in
    async def test_what_was_deleted_is_told_from_what_never_was(self, client: Client) -> None:
        await client.bulk({"_id": "a", "_deleted": True})
        assert await client.send("GET", "/a") == (404, refused("not_found", "deleted"))

    async def test_a_document_can_be_deleted_before_it_was_written(self, client: Client) -> None:
        gone = {"_id": "a", "_deleted": True}
        assert written((await client.bulk(gone))[1]) == ["a"]
        assert await client.bulk(gone | {"n": 1}) == (201, [conflict("a")])
        assert (await client.send("GET"))[1]["doc_count"] == 0

    async def test_one_document_is_written_and_read(self, client: Client) -> None:
        status, entry = await client.send("PUT", "/a", b'{"n":1}')
        assert (status, written([entry])) == (201, ["a"])
        taken = refused("conflict", "Document update conflict.")
        assert await client.send("PUT", "/a", b'{"n":1}') == (409, taken)
        assert await client.send("GET", "/b") == (404, refused("not_found", "missing"))

    async def test_a_posted_document_names_itself_or_is_given_an_id(self, client: Client) -> None:
        status, entry = await client.send("POST", "", b'{"_id":"a","n":1}')
        assert (status, written([entry])) == (201, ["a"])
        taken = refused("conflict", "Document update conflict.")
        assert await client.send("POST", "", b'{"_id":"a"}') == (409, taken)
        status, entry = await client.send("POST", "", b'{"n":2}')
        assert status == 201
        assert await client.one(entry["id"]) == {"_id": entry["id"], "n": 2}

    @beyond_the_stand_in
    async def test_what_was_purged_never_was(self, client: Client) -> None:
        _, [entry] = await client.bulk({"_id": "a"})
        asked = {"a": [entry["rev"]], "b": ["1-a"]}
        status, answer = await client.send("POST", "/_purge", json.dumps(asked).encode())
        purged = {"a": [entry["rev"]], "b": []}
        assert (status, answer) == (201, {"purge_seq": None, "purged": purged})
        assert await client.send("GET", "/a") == (404, refused("not_found", "missing"))

    @pytest.mark.parametrize(
        "id_, reason",
        [
            ('""', "Document id must not be empty"),
            ('"_x"', "Only reserved document ids may start with underscore."),
            ('"_design"', "Only reserved document ids may start with underscore."),
            ("5", "Document id must be a string"),
            ("null", "Document id must be a string"),
        ],
    )
    async def test_an_illegal_id_refuses_the_request(
        self, client: Client, id_: str, reason: str
    ) -> None:
        answer = await client.raw(b'{"_id":"good"}', b'{"_id":%s}' % id_.encode())
        assert answer == (400, refused("illegal_docid", reason))
        assert await client.one("good") is None

    @beyond_the_stand_in
    async def test_a_design_document_without_a_name_refuses_the_request(
        self, client: Client
    ) -> None:
        answer = await client.bulk({"_id": "good"}, {"_id": "_design/"})
        assert answer == (400, refused("illegal_docid", "Illegal document id `_design/`"))

    @pytest.mark.parametrize("name", ["_foo", "_", "_security"])
    async def test_a_field_that_only_couchdb_may_have(self, client: Client, name: str) -> None:
        answer = await client.bulk({"_id": "good"}, {"_id": "a", name: 5})
        reason = f"Bad special document member: {name}"
        assert answer == (400, refused("doc_validation", reason))
        assert await client.one("good") is None

    @beyond_the_stand_in
    @pytest.mark.parametrize("name", ["_deleted", "_attachments", "_revisions"])
    async def test_a_special_field_of_the_wrong_type_refuses_the_request(
        self, client: Client, name: str
    ) -> None:
        answer = await client.bulk({"_id": "good"}, {"_id": "a", name: 5})
        reason = f"Bad special document member: {name}"
        assert answer == (400, refused("doc_validation", reason))

    @beyond_the_stand_in
    @pytest.mark.parametrize(
        "field",
        [
            {"_deleted": False},
            {"_attachments": {}},
            {"_conflicts": []},
            {"_revs_info": 1},
            {"_local_seq": 5},
            {"_deleted_conflicts": 1},
        ],
    )
    async def test_some_special_fields_are_taken_and_dropped(
        self, client: Client, field: dict[str, Any]
    ) -> None:
        assert written((await client.bulk({"_id": "a", **field}))[1]) == ["a"]
        assert await client.one("a") == {"_id": "a"}

    async def test_underscores_are_allowed_in_nested_fields(self, client: Client) -> None:
        assert written((await client.bulk({"_id": "a", "x": {"_foo": 1}}))[1]) == ["a"]

    @beyond_the_stand_in
    @pytest.mark.parametrize("rev", ["nonsense", "", 5])
    async def test_an_invalid_revision_refuses_the_request(
        self, client: Client, rev: object
    ) -> None:
        answer = await client.bulk({"_id": "good"}, {"_id": "a", "_rev": rev})
        assert answer == (400, refused("bad_request", "Invalid rev format"))

    @pytest.mark.parametrize("document", ["text", 5, ["a"]])
    async def test_what_is_no_document(self, client: Client, document: object) -> None:
        answer = await client.bulk({"_id": "good"}, document)
        assert answer == (400, refused("bad_request", "Document must be a JSON object"))
        assert await client.one("good") is None

    async def test_a_document_that_is_too_large(self, client: Client) -> None:
        answer = await client.bulk({"_id": "good"}, {"_id": "large", "x": LARGE})
        assert answer == (413, refused("document_too_large", "large"))
        assert await client.one("good") is None


class TestJson(Suite):
    @pytest.mark.parametrize(
        "value",
        [b"1e400", b"-1e400", b'"\\ud800"', b'"\xff"', b"NaN", b"Infinity", b"01", b'"\t"', b"nul"],
    )
    async def test_what_couchdb_cannot_read(self, client: Client, value: bytes) -> None:
        answer = await client.raw(b'{"_id":"good"}', b'{"_id":"a","v":%s}' % value)
        assert answer == (400, refused("bad_request", "invalid UTF-8 JSON"))
        assert await client.one("good") is None

    @beyond_the_stand_in
    @pytest.mark.parametrize("value", [DIGITS_309, b"-" + DIGITS_309, b"9" * 5000])
    async def test_an_integer_beyond_the_range_of_a_double_refuses_the_request(
        self, client: Client, value: bytes
    ) -> None:
        status, answer = await client.raw(b'{"_id":"good"}', b'{"_id":"a","v":[{"n":%s}]}' % value)
        # With a `ref` beside it, a number for CouchDB's own log.
        assert (status, answer["error"], answer["reason"]) == (500, "unknown_error", "badarith")
        assert await client.one("good") is None

    @beyond_the_stand_in
    @pytest.mark.parametrize(
        "value, kept",
        [
            (b"1e-400", "0.0"),
            (b"5e-324", "0.0"),
            (b"1e-310", "1e-310"),
            (b"2.2e-308", "2.2e-308"),
            (b"-0.0", "0.0"),
            (b"-0", "0"),
            (b"1.0", "1.0"),
            (b"1e2", "100.0"),
            (b"1E+2", "100.0"),
            (b"1e308", "1e+308"),
            (b"9007199254740993", "9007199254740993"),
            (b"9007199254740993.0", "9007199254740992.0"),
            (b"123456789012345678901234567890", "123456789012345678901234567890"),
            (b"9" * 308, "9" * 308),
            (b"17976931348623157" + b"0" * 292, "17976931348623157" + "0" * 292),
        ],
    )
    async def test_numbers_are_read_back_as_erlang_writes_them(
        self, client: Client, value: bytes, kept: str
    ) -> None:
        assert written((await client.raw(b'{"_id":"a","v":%s}' % value))[1]) == ["a"]
        assert repr((await client.one("a"))["v"]) == kept

    @pytest.mark.parametrize(
        "value, kept",
        [
            (b'"\\u0000"', "\0"),
            (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
            (b'{"a":1,"a":2}', {"a": 2}),
            (b"[true,null]", [True, None]),
        ],
    )
    async def test_other_values_are_read_back(
        self, client: Client, value: bytes, kept: object
    ) -> None:
        assert written((await client.raw(b'{"_id":"a","v":%s}' % value))[1]) == ["a"]
        assert (await client.one("a"))["v"] == kept

    @pytest.mark.parametrize("body", [b"{", b'{"docs":[]} x', b'{"docs":[}'])
    async def test_a_body_that_is_not_json_is_refused(self, client: Client, body: bytes) -> None:
        answer = await client.send("POST", "/_bulk_docs", body)
        assert answer == (400, refused("bad_request", "invalid UTF-8 JSON"))

    @beyond_the_stand_in
    @pytest.mark.parametrize(
        "body, reason",
        [
            (b"", "invalid UTF-8 JSON"),
            (b"[]", "Request body must be a JSON object"),
            (b"5", "Request body must be a JSON object"),
            (b"{}", "POST body must include `docs` parameter."),
            (b'{"docs":5}', "`docs` parameter must be an array."),
            (b'{"docs":null}', "`docs` parameter must be an array."),
        ],
    )
    async def test_a_body_without_documents_is_refused(
        self, client: Client, body: bytes, reason: str
    ) -> None:
        answer = await client.send("POST", "/_bulk_docs", body)
        assert answer == (400, refused("bad_request", reason))


class TestReading(Suite):
    async def test_there_is_a_row_for_each_key_in_order(self, client: Client) -> None:
        await client.bulk({"_id": "a", "n": 1}, {"_id": "b"})
        rows = await client.rows("b", "none", "a", "b")
        assert [row["key"] for row in rows] == ["b", "none", "a", "b"]
        assert rows[1] == {"key": "none", "error": "not_found"}
        rev = rows[2]["value"]["rev"]
        doc = {"_id": "a", "_rev": rev, "n": 1}
        assert rows[2] == {"id": "a", "key": "a", "value": {"rev": rev}, "doc": doc}
        assert await client.rows() == []

    @beyond_the_stand_in
    async def test_keys_must_be_an_array(self, client: Client) -> None:
        answer = await client.send("POST", "/_all_docs?include_docs=true", b'{"keys":5}')
        reason = "`keys` body member must be an array."
        assert answer == (400, refused("bad_request", reason))

    async def test_design_documents_are_listed_alone(self, client: Client) -> None:
        await client.bulk({"_id": "a"}, {"_id": "z"}, {"_id": "_design/b"}, {"_id": "_design/a"})
        path = '/_all_docs?startkey="_design/"&endkey="_design0"'
        status, answer = await client.send("GET", path)
        assert status == 200
        assert [row["id"] for row in answer["rows"]] == ["_design/a", "_design/b"]
        assert all(row["value"]["rev"].startswith("1-") for row in answer["rows"])
        assert answer["total_rows"] == 4
        _, answer = await client.send("GET", f"{path}&include_docs=true")
        assert [row["doc"]["_id"] for row in answer["rows"]] == ["_design/a", "_design/b"]

    async def test_a_view_that_is_asked_for_nothing(self, client: Client) -> None:
        views = {"v": {"map": "function (doc) { emit(1); }"}}
        await client.send("PUT", "/_design/a", json.dumps({"views": views}).encode())
        status, answer = await client.send("GET", "/_design/a/_view/v?limit=0")
        assert (status, answer["rows"]) == (200, [])

    @beyond_the_stand_in
    async def test_a_view_that_is_not_there(self, client: Client) -> None:
        await client.send("PUT", "/_design/a", b"{}")
        path = "_view/v?limit=0"
        missing = refused("not_found", "missing_named_view")
        assert await client.send("GET", f"/_design/a/{path}") == (404, missing)
        missing = refused("not_found", "missing")
        assert await client.send("GET", f"/_design/b/{path}") == (404, missing)


@beyond_the_stand_in
class TestOneDocument(Suite):
    """One document at a time, as OpenWhisk reads, changes and deletes it."""

    async def test_the_first_revision_follows_from_the_content(self, client: Client) -> None:
        status, answer, _ = await client.one_of("PUT", "g%2Fa", b'{"_id":"g/a","n":1}')
        assert (status, answer["id"]) == (201, "g/a")
        assert answer["rev"] == "1-731bef401491606a3b246ed178e697c1"
        _, [entry] = await client.bulk({"_id": "g/b", "n": 1})
        assert entry["rev"] == answer["rev"]

    async def test_it_reads_as_a_whole_and_by_revision(self, client: Client) -> None:
        _, [entry] = await client.bulk({"_id": "g/a", "n": 1})
        document = {"_id": "g/a", "_rev": entry["rev"], "n": 1}
        assert await client.one_of("GET", "g%2Fa") == (200, document, entry["rev"])
        assert await client.one_of("HEAD", "g%2Fa") == (200, None, entry["rev"])
        found = await client.one_of("GET", f"g%2Fa?rev={entry['rev']}")
        assert found[:2] == (200, document)
        missing = (404, refused("not_found", "missing"))
        old = await client.one_of("GET", "g%2Fa?rev=1-0123456789abcdef0123456789abcdef")
        assert old[:2] == missing
        assert (await client.one_of("GET", "g%2Fb"))[:2] == missing

    @pytest.mark.parametrize("quote", ["", '"'])
    async def test_it_changes_by_its_revision(self, client: Client, quote: str) -> None:
        _, [entry] = await client.bulk({"_id": "g/a", "n": 1})
        conflicts = (409, refused("conflict", "Document update conflict."))
        body = b'{"_id":"g/a","n":2}'
        assert (await client.one_of("PUT", "g%2Fa", body))[:2] == conflicts
        assert (await client.one_of("PUT", "g%2Fa", body, If_Match="1-a"))[:2] == conflicts
        rev = f"{quote}{entry['rev']}{quote}"
        status, answer, _ = await client.one_of("PUT", "g%2Fa", body, If_Match=rev)
        assert (status, answer["rev"][:2]) == (201, "2-")
        assert await client.one("g/a") == {"_id": "g/a", "n": 2}

    async def test_what_is_not_there_has_no_revision_to_change(self, client: Client) -> None:
        answer = await client.bulk({"_id": "g/a", "_rev": "1-a"})
        assert answer == (201, [conflict("g/a")])
        status, _, _ = await client.one_of("PUT", "g%2Fb", b"{}", If_Match="1-a")
        assert status == 409

    async def test_it_is_deleted_by_its_revision(self, client: Client) -> None:
        missing = (404, refused("not_found", "missing"))
        assert (await client.one_of("DELETE", "g%2Fa", If_Match="1-a"))[:2] == missing
        _, [entry] = await client.bulk({"_id": "g/a", "n": 1})
        assert (await client.one_of("DELETE", "g%2Fa"))[0] == 409
        assert (await client.one_of("DELETE", "g%2Fa", If_Match="1-a"))[0] == 409
        status, answer, _ = await client.one_of("DELETE", "g%2Fa", If_Match=entry["rev"])
        assert (status, answer["ok"], answer["rev"][:2]) == (200, True, "2-")
        gone = (404, refused("not_found", "deleted"))
        assert (await client.one_of("GET", "g%2Fa"))[:2] == gone
        assert (await client.one_of("DELETE", "g%2Fa", If_Match=answer["rev"]))[:2] == gone
        status, again, _ = await client.one_of("PUT", "g%2Fa", b"{}")
        assert (status, again["rev"][:2]) == (201, "3-")

    async def test_a_batch_of_none(self, client: Client) -> None:
        """How the gateway asks whether somebody may write."""
        assert await client.bulk() == (201, [])

    async def test_who_one_is(self, client: Client, couchdb: CouchDB) -> None:
        context = await client.session()
        assert context["name"] == URL(couchdb.url).user
        assert context["roles"] == ["_admin"]

    @beyond_the_stand_in
    async def test_who_nobody_is(self, client: Client, couchdb: CouchDB) -> None:
        nobody = client.at(str(URL(couchdb.url).with_user(None)).rstrip("/"))
        assert await nobody.session() == {"name": None, "roles": []}

    async def test_a_wrong_password(self, client: Client, couchdb: CouchDB) -> None:
        address = URL(couchdb.url).with_user("nobody").with_password("wrong")
        nobody = client.at(str(address).rstrip("/"))
        answer = refused("unauthorized", "Name or password is incorrect.")
        assert (await nobody.one_of("GET", "g%2Fa"))[:2] == (401, answer)
        assert await nobody.bulk() == (401, answer)


@beyond_the_stand_in
class TestValidation(Suite):
    @pytest.fixture(autouse=True)
    async def _judged(self, client: Client, couchdb: CouchDB) -> None:
        del client  # made the database
        await couchdb.validate()

    @pytest.mark.parametrize(
        "document, error, reason",
        [
            ({"throws": FORBIDS}, "forbidden", "not here"),
            ({"throws": {"forbidden": {"a": 1}}}, "forbidden", {"a": 1}),
            ({"throws": {"unauthorized": "who?"}}, "unauthorized", "who?"),
            ({"throws": {"anything": "else"}}, "unknown_error", "else"),
            ({"throws": "text"}, "unknown_error", "text"),
            ({"breaks": True}, "TypeError", "{[]}"),
        ],
    )
    async def test_what_is_thrown_is_the_entry_of_one_document(
        self, client: Client, document: dict[str, Any], error: str, reason: object
    ) -> None:
        status, entries = await client.bulk({"_id": "a", **document}, {"_id": "b"})
        assert status == 201
        assert {"id": "a", "error": error, "reason": reason} in entries
        assert written(entries) == ["b"]
        assert await client.one("a") is None

    async def test_a_conflict_comes_first(self, client: Client) -> None:
        await client.bulk({"_id": "a"})
        answer = await client.bulk({"_id": "a", "throws": FORBIDS})
        assert answer == (201, [conflict("a")])

    async def test_what_is_deleted_is_judged_first(self, client: Client) -> None:
        """Why `Database.probe` is one."""
        gone = {"_id": "a", "_deleted": True}
        await client.bulk(gone)
        entry = {"id": "a", **refused("forbidden", "not here")}
        assert await client.bulk(gone | {"throws": FORBIDS}) == (201, [entry])
        assert await client.bulk(gone) == (201, [conflict("a")])

    async def test_the_second_of_one_id_is_written_where_the_first_was_not(
        self, client: Client
    ) -> None:
        _, entries = await client.bulk({"_id": "a", "throws": FORBIDS}, {"_id": "a", "n": 2})
        assert written(entries) == ["a"]
        assert await client.one("a") == {"_id": "a", "n": 2}

    async def test_one_document_is_refused_with_a_status(self, client: Client) -> None:
        answer = await client.send("PUT", "/a", json.dumps({"throws": FORBIDS}).encode())
        assert answer == (403, refused("forbidden", "not here"))
