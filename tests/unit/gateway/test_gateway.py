"""The gateway over HTTP, between a client as OpenWhisk is one and a database."""

import asyncio
import gzip
import json
import tracemalloc
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.unit.gateway.conftest import StartGateway
from tests.unit.gateway.doubles import (
    BASIC,
    DATABASE,
    TOPIC,
    FakeDatabase,
    FakeProducer,
    Running,
    document,
    encoded,
)

SOON = 0.05


def without_own(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k not in ("_id", "entityType", "updated")}


async def raw_answer(gateway: Running, request: bytes) -> bytes:
    """Everything that comes back until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


class TestTakenWrites:
    async def test_a_put_becomes_a_record(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        fields = document()
        async with gateway.put_document(fields) as answer:
            told = await answer.json()
            assert answer.status == 201
            assert told == {"ok": True, "id": fields["_id"], "rev": told["rev"]}
            assert answer.headers["ETag"] == f'"{told["rev"]}"'
            path = fields["_id"].replace("/", "%2F")
            assert answer.headers["Location"] == f"{gateway.url}/{DATABASE}/{path}"
        (message,) = producer.messages()
        assert producer.sent[0][0] == TOPIC
        assert message["response"] == without_own(fields)
        assert message["transid"][::2] == ["sid_gateway", True]
        assert database.writes == []

    @pytest.mark.parametrize(
        "headers, origin",
        [
            ({}, "{url}"),
            ({"X-Forwarded-Host": "pub.example:8443"}, "http://pub.example:8443"),
            ({"X-Forwarded-Ssl": "on", "X-Forwarded-Proto": "http"}, "https://{host}"),
            ({"X-Forwarded-Ssl": "ON"}, "{url}"),
            ({"X-Forwarded-Proto": "https"}, "https://{host}"),
            ({"X-Forwarded-Proto": "HTTPS"}, "{url}"),
            ({"X-Forwarded-Proto": "ftp"}, "{url}"),
        ],
    )
    async def test_its_location_is_the_one_that_proxies_say(
        self, gateway: Running, headers: dict[str, str], origin: str
    ) -> None:
        """The table is recorded from CouchDB 3.5.0."""
        fields = document()
        async with gateway.put_document(fields, **headers) as answer:
            path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
            host = gateway.url.removeprefix("http://")
            expected = origin.format(url=gateway.url, host=host)
            assert answer.headers["Location"] == expected + path

    async def test_every_answer_ends_with_a_line_end(self, gateway: Running) -> None:
        """As all of CouchDB's do."""
        fields = document()
        path = f"/{DATABASE}/{fields['_id'].replace('/', '%2F')}"
        async with gateway.put_document(fields) as put:
            assert (put.status, (await put.read())[-2:]) == (201, b"}\n")
        async with gateway.bulk_documents([document(), {"_id": "a"}]) as bulk:
            assert (bulk.status, (await bulk.read())[-2:]) == (201, b"]\n")
        async with gateway.client.get(gateway.url + path, headers=BASIC) as read:
            assert (read.status, (await read.read())[-2:]) == (200, b"}\n")
        async with gateway.put_document(fields, Authorization="Basic eA==") as refused:
            assert (refused.status, (await refused.read())[-2:]) == (401, b"}\n")

    async def test_records_of_an_id_stay_in_order_whatever_partitions_the_topic_has(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        producer.create(TOPIC, partitions=8)
        fields = document()
        for number in range(8):
            async with gateway.put_document({**fields, "name": f"a{number}"}) as answer:
                assert answer.status == 201
        assert sorted(map(len, producer.records[TOPIC].values())) == [0] * 7 + [8]

    async def test_a_batch_is_answered_in_order(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        documents = [document() for _ in range(500)]
        async with gateway.bulk_documents(documents) as answer:
            told = await answer.json()
            assert answer.status == 201
        assert [(entry["ok"], entry["id"]) for entry in told] == [
            (True, fields["_id"]) for fields in documents
        ]
        assert [m["response"] for m in producer.messages()] == [without_own(d) for d in documents]
        assert database.writes == []

    @pytest.mark.parametrize("bulk", [True, False])
    async def test_a_gzipped_body_is_understood(
        self, gateway: Running, producer: FakeProducer, *, bulk: bool
    ) -> None:
        fields = document()
        if bulk:
            body = gzip.compress(encoded({"docs": [fields]}))
            sending = gateway.bulk(body, Content_Encoding="gzip")
        else:
            sending = gateway.put(
                gzip.compress(encoded(fields)), fields["_id"], Content_Encoding="gzip"
            )
        async with sending as answer:
            assert answer.status == 201
        assert producer.messages()[0]["response"] == without_own(fields)

    async def test_a_chunked_body_is_understood(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        async def pieces() -> Any:
            body = encoded({"docs": [document() for _ in range(10)]})
            for start in range(0, len(body), 100):
                yield body[start : start + 100]

        async with gateway.bulk(pieces()) as answer:
            assert answer.status == 201
        assert len(producer.sent) == 10

    async def test_the_answer_waits_for_the_acknowledgement(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        producer.answering = False

        async def status() -> int:
            async with gateway.put_document(document()) as answer:
                return int(answer.status)

        asking = asyncio.create_task(status())
        await producer.arrived.wait()
        async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
            assert answer.status == 200
        assert not asking.done()
        producer.answering = True
        assert await asking == 201

    async def test_fifty_clients_at_once_are_all_answered(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        async def client() -> int:
            async with aiohttp.ClientSession() as session:
                mine = Running(gateway.url, gateway.port, session, gateway.publisher)
                for _ in range(4):
                    async with mine.bulk_documents([document() for _ in range(5)]) as answer:
                        assert answer.status == 201
                return int(answer.status)

        assert set(await asyncio.gather(*(client() for _ in range(50)))) == {201}
        assert len({message["response"]["activationId"] for message in producer.messages()}) == 1000
        assert gateway.publisher.budget.in_flight == 0


class TestCredentials:
    async def test_a_refusal_is_couchdbs_and_costs_one_attempt(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        fields = document()
        for _ in range(3):
            async with gateway.put_document(fields, Authorization="Basic d3Jvbmc6") as answer:
                assert answer.status == 401
                assert await answer.json() == {
                    "error": "unauthorized",
                    "reason": "Name or password is incorrect.",
                }
        assert producer.sent == []
        assert len(database.seen) == 1
        assert database.seen[0].headers["X-Forwarded-For"] == "127.0.0.1"

    async def test_where_couchdb_validates_it_hears_every_write(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        async def forbidden(_: web.Request) -> web.Response:
            return web.json_response({"error": "forbidden", "reason": "read only"}, status=403)

        database.validate("_design/auth")
        database.answer = forbidden
        for fields in (document(), document()):
            async with gateway.put_document(fields) as answer:
                assert answer.status == 403
                assert (await answer.json())["reason"] == "read only"
            assert database.writes[-1].body == encoded(fields)
        assert producer.sent == []
        assert len(database.questions) == 1

    @pytest.mark.parametrize("named,taken", [("whisk", 1), ("whisk, b", 1), ("other", 0)])
    async def test_the_operator_may_name_who_need_not_be_heard(
        self,
        start: StartGateway,
        producer: FakeProducer,
        database: FakeDatabase,
        named: str,
        taken: int,
    ) -> None:
        gateway = await start(authorized_users=named)
        database.validate("_design/auth")
        async with gateway.put_document(document()) as answer:
            assert answer.status == 201
        assert (len(producer.sent), len(database.writes)) == (taken, 1 - taken)

    async def test_couchdb_is_asked_once_for_many_writes(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        for _ in range(3):
            async with gateway.put_document(document()) as answer:
                assert answer.status == 201
        assert len(database.questions) == 1
        assert database.questions[0].headers["Authorization"] == BASIC["Authorization"]

    async def test_known_ones_are_taken_while_couchdb_is_down(
        self, start: StartGateway, database: FakeDatabase, producer: FakeProducer
    ) -> None:
        gateway = await start(credentials_ttl=0, publish_deadline=SOON)
        async with gateway.put_document(document()):
            pass
        database.up = False
        async with gateway.put_document(document()) as answer:
            assert answer.status == 201
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await gateway.put_document(document(), Authorization="Basic d3Jvbmc6")
        assert len(producer.sent) == 2


class TestNames:
    @pytest.mark.parametrize(
        "names,path,host,status",
        [
            ("", "/_gateway/metrics", "evil.example", 421),
            ("", "/_gateway/health", "evil.example:5985", 421),
            ("", "/_gateway/metrics", "localhost", 200),
            ("", "/_gateway/metrics", "10.0.0.1:80", 200),
            ("", f"/{DATABASE}", "couchdb.example", 200),
            ("couchdb.example", f"/{DATABASE}", "couchdb.example", 200),
            ("couchdb.example", "/_gateway/metrics", "couchdb.example", 200),
            ("couchdb.example", f"/{DATABASE}", "evil.example", 421),
        ],
    )
    async def test_a_strangers_name_is_not_answered(
        self, start: StartGateway, names: str, path: str, host: str, status: int
    ) -> None:
        gateway = await start(names=names)
        headers = {**BASIC, "Host": host}
        async with gateway.client.get(gateway.url + path, headers=headers) as answer:
            assert answer.status == status


class TestLeftToCouchDB:
    async def test_other_documents_pass_untouched(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        body = b'{ "_id":"guest/hello", "entityType":"action" ,"n":1E+5}'
        async with gateway.put(body, "guest/hello", X_Own="1") as answer:
            assert answer.status == 201
        (seen,) = database.writes
        assert (seen.method, seen.path) == ("PUT", f"/{DATABASE}/guest%2Fhello")
        assert seen.body == body
        assert seen.headers["Authorization"] == BASIC["Authorization"]
        assert seen.headers["X-Own"] == "1"
        assert producer.sent == []

    @pytest.mark.parametrize("body", [b"", b"{", b'{"docs":[{]}', b"\xff\xfe", b'{"docs":[]}'])
    async def test_malformed_bodies_pass_untouched(
        self, gateway: Running, database: FakeDatabase, body: bytes
    ) -> None:
        async def bad_request(_: web.Request) -> web.Response:
            return web.json_response({"error": "bad_request"}, status=400)

        database.answer = bad_request
        async with gateway.bulk(body) as answer:
            assert answer.status == 400
        assert [seen.body for seen in database.writes] == [body]

    async def test_all_members_of_a_gzipped_body_are_read(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        fields = document()
        body = encoded(fields)
        members = [gzip.compress(body[start : start + 90]) for start in range(0, len(body), 90)]
        sent = gzip.compress(b"").join(members)
        async with gateway.put(sent, fields["_id"], Content_Encoding="gzip") as answer:
            assert answer.status == 201
        assert len(producer.sent) == 1

    async def test_what_cannot_be_unzipped_passes_untouched(
        self, gateway: Running, database: FakeDatabase, producer: FakeProducer
    ) -> None:
        whole = gzip.compress(encoded({"docs": [document()]}))
        for body in (whole[:-20], b"no gzip", whole + whole, whole + b"\0", whole + whole[:9]):
            database.seen.clear()
            database.answer = None

            async def answered(_: web.Request) -> web.Response:
                return web.Response(status=400)

            database.answer = answered
            async with gateway.bulk(body, Content_Encoding="gzip") as answer:
                assert answer.status == 400
            (seen,) = database.writes
            assert (seen.body, seen.headers["Content-Encoding"]) == (body, "gzip")
        assert producer.sent == []

    async def test_a_mixed_batch_is_one_answer_in_order(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        conflict = {"id": "_design/a", "error": "conflict", "reason": "Document update conflict."}

        async def partly(_: web.Request) -> web.Response:
            assert producer.sent == []  # CouchDB's part goes first
            return web.json_response(
                [conflict, {"ok": True, "id": "b/c", "rev": "2-b"}], status=202
            )

        database.answer = partly
        first, last = document(), document()
        others = [{"_id": "_design/a"}, {"_id": "b/c", "_rev": "1-b"}]
        async with gateway.bulk_documents([first, *others, last]) as answer:
            told = await answer.json()
            assert answer.status == 202
        assert [entry["id"] for entry in told] == [first["_id"], "_design/a", "b/c", last["_id"]]
        assert told[1] == conflict
        (seen,) = database.writes
        assert seen.documents == others
        assert seen.headers["Authorization"] == BASIC["Authorization"]
        assert len(producer.sent) == 2

    async def test_when_couchdb_refuses_its_part_nothing_is_written(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        async def refused(_: web.Request) -> web.Response:
            return web.json_response({"error": "illegal_docid", "reason": "_x"}, status=400)

        database.answer = refused
        async with gateway.bulk_documents([document(), {"_id": "_x"}]) as answer:
            assert answer.status == 400
            assert await answer.json() == {"error": "illegal_docid", "reason": "_x"}
        assert producer.sent == []

    @pytest.mark.parametrize(
        "answered", [b"[]", b"<html>", b'[{"ok":true},{"ok":true}]'], ids=["few", "html", "many"]
    )
    async def test_an_answer_that_is_not_couchdbs_is_not_trusted(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase, answered: bytes
    ) -> None:
        async def odd(_: web.Request) -> web.Response:
            return web.Response(status=201, body=answered)

        database.answer = odd
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await gateway.bulk_documents([document(), {"_id": "a"}])
        assert producer.sent == []

    @pytest.mark.parametrize("bulk", [True, False])
    async def test_a_record_too_large_for_the_topic_goes_to_couchdb(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase, *, bulk: bool
    ) -> None:
        producer.create(TOPIC, limit=10_000)
        large, small = document(extra="x" * 10_000), document()
        sending = gateway.bulk_documents([large, small]) if bulk else gateway.put_document(large)
        async with sending as answer:
            assert answer.status == 201
        (seen,) = database.writes
        assert large in (seen.documents if bulk else [json.loads(seen.body)])

    async def test_without_couchdb_its_part_is_502(
        self, start: StartGateway, database: FakeDatabase
    ) -> None:
        database.url = "http://127.0.0.1:1"
        gateway = await start()
        async with gateway.client.get(f"{gateway.url}/{DATABASE}/_all_docs") as answer:
            assert answer.status == 502
            assert (await answer.json())["error"] == "bad_gateway"


class TestBounds:
    async def test_a_body_over_the_limit_is_413(
        self, start: StartGateway, producer: FakeProducer
    ) -> None:
        gateway = await start(max_body_bytes=1024 * 1024)
        large = encoded({"docs": [document(extra="x" * 1024 * 1024)]})

        async def pieces() -> Any:
            yield large

        for body, headers in (
            (large, {}),
            (pieces(), {}),
            (gzip.compress(large), {"Content_Encoding": "gzip"}),
        ):
            async with gateway.bulk(body, **headers) as answer:
                assert answer.status == 413
                assert (await answer.json())["error"] == "too_large"
        assert producer.sent == []

    async def test_twenty_megabytes_are_held(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        documents = [document(extra="x" * 4_000_000) for _ in range(5)]
        async with gateway.bulk_documents(documents) as answer:
            assert answer.status == 201
        assert len(producer.sent) == 5

    async def test_a_large_document_goes_to_couchdb(
        self, start: StartGateway, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        gateway = await start(max_document_bytes=10_000)
        fields = document(extra="x" * 10_000)
        async with gateway.put_document(fields) as answer:
            assert answer.status == 201
        assert database.writes[0].body == encoded(fields)
        assert producer.sent == []

    async def test_large_bodies_without_room_are_not_answered_and_small_ones_pass(
        self, start: StartGateway
    ) -> None:
        gateway = await start(bytes_in_flight=1024 * 1024, publish_deadline=SOON)
        blank = b" " * 800_000
        large = b'{"docs":[' + blank

        async def chunked() -> Any:
            yield large
            await asyncio.sleep(10 * SOON)  # it does not end before the others give up
            yield blank + b"]}"

        async def send(body: Any) -> int | None:
            try:
                async with gateway.bulk(body) as answer:
                    return int(answer.status)
            except aiohttp.ClientConnectionError:
                return None

        sending = [asyncio.create_task(send(chunked())) for _ in range(6)]
        await bodies_in_flight(gateway, len(large))
        for _ in range(20):
            async with gateway.put_document(document()) as answer:
                assert answer.status == 201
        outcomes = await asyncio.gather(*sending)
        assert None in outcomes
        assert set(outcomes) <= {201, None}
        assert 'gateway_refused_writes_total{cause="bytes-in-flight"}' in await metrics(gateway)
        await bodies_in_flight(gateway, 0)

    async def test_what_is_announced_is_not_held(self, gateway: Running) -> None:
        announced = []
        for _ in range(4):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(write_begun(64 * 1024 * 1024))
            announced.append(writer)
        documents = [document(extra="x" * 1_000_000) for _ in range(5)]
        async with gateway.bulk_documents(documents) as answer:
            assert answer.status == 201
        for writer in announced:
            writer.close()

    async def test_a_million_documents_in_a_kilobyte_are_not_built(
        self, gateway: Running, producer: FakeProducer, database: FakeDatabase
    ) -> None:
        async def bad_request(_: web.Request) -> web.Response:
            return web.json_response({"error": "bad_request"}, status=400)

        database.answer = bad_request
        for entry in (b"1", b"{}", b'{"_id":"a/b"}'):
            body = gzip.compress(b'{"docs":[' + b",".join([entry] * 1_000_000) + b"]}")
            tracemalloc.start()
            async with gateway.bulk(body, Content_Encoding="gzip") as answer:
                assert answer.status == 400
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 60_000_000
            assert database.writes[-1].body == body
        assert producer.sent == []

    async def test_a_client_that_leaves_while_sending_stores_nothing(
        self, gateway: Running, producer: FakeProducer
    ) -> None:
        body = encoded({"docs": [document()]})
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(write_begun(len(body) + 1) + body)
        await bodies_in_flight(gateway, len(body))
        writer.close()
        await bodies_in_flight(gateway, 0)
        assert producer.sent == []

    @pytest.mark.parametrize("setting", ["receive_deadline", "receive_pause"])
    async def test_a_client_that_does_not_send_its_body_is_not_answered(
        self, start: StartGateway, setting: str
    ) -> None:
        gateway = await start(**{setting: SOON})
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(write_begun(100) + b"{")
        assert await reader.read() == b""
        writer.close()
        assert 'gateway_refused_writes_total{cause="body-incomplete"} 1.0' in await metrics(gateway)


def write_begun(length: int) -> bytes:
    """The head of a write whose body has this length."""
    return (
        f"POST /{DATABASE}/_bulk_docs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: {BASIC['Authorization']}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def bodies_in_flight(gateway: Running, size: int) -> None:
    """Return when the gateway holds bodies of this size."""
    name = 'gateway_bytes_in_flight{of="bodies"} '
    async with asyncio.timeout(60):  # rendered seldom where that takes long
        while size not in [
            float(line.removeprefix(name))
            for line in (await metrics(gateway)).splitlines()
            if line.startswith(name)
        ]:
            pass


async def metrics(gateway: Running) -> str:
    async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
        return str(await answer.text())


class TestProxy:
    async def test_the_answer_streams_as_it_comes(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        more = asyncio.Event()

        async def changes(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"seq":1}\n')
            await more.wait()
            await response.write(b'{"seq":2}\n')
            return response

        database.answer = changes
        url = f"{gateway.url}/{DATABASE}/_changes?feed=continuous"
        async with gateway.client.get(url, headers=BASIC) as answer:
            assert await answer.content.readany() == b'{"seq":1}\n'
            more.set()
            assert await answer.content.read() == b'{"seq":2}\n'

    async def test_a_long_poll_ends_when_its_client_leaves(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        ended = asyncio.Event()

        async def silent(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while request.transport is not None:
                    await response.write(b"\n")
                    await asyncio.sleep(0)
            finally:
                ended.set()
            return response

        database.answer = silent
        url = f"{gateway.url}/{DATABASE}/_changes?feed=continuous"
        async with gateway.client.get(url, headers=BASIC) as answer:
            await answer.content.readany()
            answer.close()
        async with asyncio.timeout(5):
            await ended.wait()

    async def test_the_request_streams_as_it_comes(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        path = f"{gateway.url}/{DATABASE}/guest%2Fa/log.txt?rev=1-a"

        async def pieces() -> Any:
            yield b"first"
            yield b"second"

        async def attached(_: web.Request) -> web.StreamResponse:
            return web.json_response({"ok": True}, status=201)

        database.answer = attached
        url = URL(path, encoded=True)
        async with gateway.client.put(url, data=pieces(), headers=BASIC) as answer:
            assert answer.status == 201
        (seen,) = database.writes
        assert (seen.path, seen.body) == (path.removeprefix(gateway.url), b"firstsecond")

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/_all_dbs",
            f"/{DATABASE}/_design/whisks.v2.1.0/_view/activations?startkey=%5B%22guest%22%2C0%5D",
            f"/{DATABASE}/a%2Fb?attachments=true",
            "/a%7Eb/../c?x=%2B+%20",
            "/db/doc%0Aid",
            f"/{DATABASE}/guest%2Fa%0D%0AX-Evil:%20a%0d%0A%0D%0AGET%20/_all_dbs?x=%0D%0AX-Evil:a",
            "/%0A%E2%80%A8%00",
        ],
    )
    async def test_paths_stay_as_they_were_written(
        self, gateway: Running, database: FakeDatabase, path: str
    ) -> None:
        async def found(_: web.Request) -> web.StreamResponse:
            return web.json_response({})

        database.answer = found
        url = URL(gateway.url + path, encoded=True)
        async with gateway.client.get(url, headers=BASIC) as answer:
            assert answer.status == 200
        assert database.seen[-1].path == path
        assert "X-Evil" not in database.seen[-1].headers

    @pytest.mark.parametrize("end", ["%0A", "%0D%0A", "%0d"])
    async def test_an_id_with_a_line_end_is_written(
        self, gateway: Running, database: FakeDatabase, end: str
    ) -> None:
        path = f"/{DATABASE}/doc{end}X-Evil:%20a"
        url = URL(gateway.url + path, encoded=True)
        async with gateway.client.put(url, data=b"{}", headers=BASIC) as answer:
            assert answer.status == 201
        assert [seen.path for seen in database.seen] == [path]
        assert "X-Evil" not in database.seen[0].headers

    async def test_the_answer_is_not_recompressed(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        body = gzip.compress(b'{"rows":[]}')

        async def zipped(_: web.Request) -> web.Response:
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            return web.Response(body=body, headers=headers)

        database.answer = zipped
        async with gateway.client.get(f"{gateway.url}/db/a", headers=BASIC) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Content-Length"] == str(len(body))
            assert await answer.content.read() == body

    async def test_a_head_keeps_the_length(self, gateway: Running, database: FakeDatabase) -> None:
        async def head(_: web.Request) -> web.Response:
            return web.Response(headers={"Content-Length": "1234", "ETag": '"1-a"'})

        database.answer = head
        async with gateway.client.head(f"{gateway.url}/db/a", headers=BASIC) as answer:
            assert (answer.status, answer.headers["ETag"]) == (200, '"1-a"')
            assert answer.headers["Content-Length"] == "1234"

    @pytest.mark.parametrize("status", [204, 304])
    async def test_an_answer_without_a_body_stays_so(
        self, gateway: Running, database: FakeDatabase, status: int
    ) -> None:
        async def empty(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"ETag": '"1-a"'})

        database.answer = empty
        request = (
            f"GET /db/a HTTP/1.1\r\nHost: a\r\nAuthorization: {BASIC['Authorization']}\r\n"
            "Connection: close\r\n\r\n"
        )
        head, _, body = (await raw_answer(gateway, request.encode())).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert b'etag: "1-a"' in head.lower()
        assert body == b""

    async def test_headers_about_one_connection_stay_there(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        async def cookies(_: web.Request) -> web.Response:
            response = web.Response()
            response.headers.add("Set-Cookie", "a=1")
            response.headers.add("Set-Cookie", "b=2")
            response.headers.update({"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "a"})
            return response

        database.answer = cookies
        sent = {**BASIC, "Connection": "keep-alive, X-Mine", "X-Mine": "1", "TE": "trailers"}
        async with gateway.client.get(f"{gateway.url}/db/a", headers=sent) as answer:
            assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
            assert not {"X-Hop", "Keep-Alive"} & set(answer.headers)
        seen = database.seen[-1].headers
        assert not {"X-Mine", "TE"} & set(seen)
        assert seen["X-Forwarded-Host"] == f"127.0.0.1:{gateway.port}"

    async def test_nothing_is_added_that_changes_the_answer(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        await raw_answer(gateway, b"GET /db/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        seen = database.seen[-1].headers
        assert not {"Accept", "Accept-Encoding", "Content-Type", "User-Agent"} & set(seen)

    async def test_redirects_are_the_clients_business(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        async def moved(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": "/elsewhere"})

        database.answer = moved
        url = f"{gateway.url}/db/a"
        async with gateway.client.get(url, headers=BASIC, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")

    async def test_an_answer_that_breaks_off_is_not_made_whole(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        async def broken(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"rows":[')
            assert request.transport is not None
            request.transport.abort()
            return response

        database.answer = broken
        with pytest.raises(aiohttp.ClientError):
            async with gateway.client.get(f"{gateway.url}/db/a", headers=BASIC) as answer:
                await answer.read()

    async def test_an_answer_of_unknown_length_ends_with_the_connection_before_http_1_1(
        self, gateway: Running, database: FakeDatabase
    ) -> None:
        async def streamed(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"a" * 100_000)
            return response

        database.answer = streamed
        lines = f"Connection: keep-alive\r\nAuthorization: {BASIC['Authorization']}"
        answer = await raw_answer(gateway, f"GET /db/a HTTP/1.0\r\n{lines}\r\n\r\n".encode())
        assert answer.endswith(b"\r\n\r\n" + b"a" * 100_000)

    @pytest.mark.parametrize(
        "path",
        [
            *(b"/db/\xc3\xa4", b"/db/\xe4", b"/db/a?b=\xc3\xa4"),
            *(b"/db#", b"/db/a#b", b"http://a/db#c", b"/db/a?b#c"),
        ],
    )
    async def test_a_target_beyond_ascii_or_with_a_fragment_is_refused(
        self, gateway: Running, database: FakeDatabase, path: bytes
    ) -> None:
        """HTTP has none (RFC 3986 and 9112); CouchDB takes them, and OpenWhisk sends none.

        CouchDB cuts a fragment off, and so writes to another document than the one looked at.
        """
        request = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path
        assert b" 400 " in (await raw_answer(gateway, request)).partition(b"\r\n")[0]
        assert not database.seen
