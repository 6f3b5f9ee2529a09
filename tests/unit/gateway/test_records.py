import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing import Store, route
from app.settings import RoutingSettings, StoreLevel
from models.roles import TopicRole
from openwhisk.gateway.records import (
    RULES,
    Record,
    Taking,
    bulk_body,
    bulk_documents,
    id_of,
    without_repeated,
)
from openwhisk.gateway.revisions import first_revision
from openwhisk.gateway.targets import change
from tests.golden import Case, cases, exactly

ID = "0123456789abcdef0123456789abcdef"
NOW = 1767325447000
LOGS: list[bytes] = []
TAKING = Taking(TopicRole.OTHERS, max_bytes=1_000_000, look_at_logs=LOGS.append)

RECORD = (
    f'"namespace":"guest","name":"hello","subject":"guest-user","activationId":"{ID}",'
    '"start":1767325445123,"end":1767325445210,"response":{"statusCode":0,"result":{}},'
    '"logs":[],"version":"0.0.1","publish":false,"annotations":[]'
)


def document(
    record: str = RECORD, own: str = "", updated: str = '"updated":1767325446000,'
) -> bytes:
    added = own or f'"_id":"guest/{ID}","entityType":"activation"'
    return f"{{{updated}{added},{record}}}".encode()


def taken(body: bytes) -> Record:
    record = TAKING.take(body, NOW)
    assert record is not None
    return record


def test_a_record_becomes_a_result_message() -> None:
    assert taken(document()).message == (
        f'{{"transid":["sid_gateway",{NOW},true],"response":{{{RECORD}}}}}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        "1E+5",
        "0.1000",
        "123456789012345678901234567890",
        '"Gr\u00fc\u00dfe \U0001f389"',
        '"\\u0000"',
    ],
)
def test_values_keep_their_bytes(value: str) -> None:
    field = f',"extra":{{"b":{value}, "a":[{value}]}}'
    assert field.encode() in taken(document(RECORD + field)).message


def test_the_persisters_store_level_does_not_apply_any_more() -> None:
    only_failures = RoutingSettings(
        blocking_store_level=StoreLevel.STORE_FAILURES,
        non_blocking_store_level=StoreLevel.STORE_FAILURES,
    )
    decision = route(TopicRole.OTHERS, taken(document()).message, NOW, only_failures)
    assert isinstance(decision, Store)


@given(
    st.integers(0, len(document())),
    st.integers(0, len(document())),
    st.one_of(
        st.binary(max_size=10), st.sampled_from([b'"', b"{", b"[[", b"null", b"\\u", b"1e9"])
    ),
)
def test_whatever_comes_is_decided(start: int, end: int, inserted: bytes) -> None:
    body = document()[:start] + inserted + document()[end:]
    for path_id in (None, f"guest/{ID}"):
        record = TAKING.take(body, NOW, path_id)
        if record is not None:
            decision = route(TopicRole.OTHERS, record.message, NOW, RULES)
            assert isinstance(decision, Store)
            assert json.loads(decision.document)["_id"] == record.id
    bulk_documents(body)


@pytest.mark.parametrize("case", [case for case in cases() if case.document], ids=str)
def test_a_document_of_openwhisk_comes_out_of_the_persister_as_it_went_in(case: Case) -> None:
    fields = msgspec.json.decode(case.message, type=dict[str, msgspec.Raw])
    assert case.document is not None
    own = {"_id": case.document["_id"], "entityType": "activation", "updated": 1}
    record = msgspec.json.decode(fields["response"], type=dict[str, msgspec.Raw])
    message = taken(msgspec.json.encode({**own, **record})).message
    decision = route(TopicRole.OTHERS, message, NOW, RULES)
    assert isinstance(decision, Store)
    stored = exactly(decision.document)
    assert stored.pop("updated") == exactly(str(NOW))
    assert stored == case.document


@pytest.mark.parametrize(
    "body",
    [
        document(own=f'"_id":"guest/{ID}","entityType":"action"'),
        document(own=f'"_id":"guest/{ID}"'),
        document(own='"entityType":"activation"'),
        document(own=f'"_id":"other/{ID}","entityType":"activation"'),
        document(own=f'"_id":"{ID}","entityType":"activation"'),
        document(own=f'"_id":"guest/{ID}","entityType":"activation","_rev":"1-a"'),
        document(own=f'"_id":"guest/{ID}","entityType":"activation","_deleted":true'),
        document(own=f'"_id":"guest/{ID}","entityType":"activation","_attachments":{{}}'),
        document(
            RECORD.replace('"guest"', '"_design"', 1),
            own=f'"_id":"_design/{ID}","entityType":"activation"',
        ),
        document(RECORD.replace('"version":"0.0.1",', "")),
        document(updated=""),
        document(RECORD.replace('"start":1767325445123', '"start":"2026-01-02T03:44:05.123Z"')),
        document(RECORD.replace('"end":1767325445210', '"end": "2026-01-02T03:44:05.210Z"')),
        document(RECORD + r',"extra":"\ud800"'),
        document(RECORD + ',"extra":1e400'),
        document(RECORD + ',"' + "🚀" * 1025 + '":1'),
        document(RECORD + ',"extra":' + "[" * 5000 + "]" * 5000),
        document(RECORD).replace(b"hello", b"\xff"),
        document(RECORD + ',"extra":"' + "x" * 1_000_000 + '"'),
        document()[:-1],
        b"[]",
        b"",
    ],
)
def test_what_is_no_new_valid_activation_is_left_to_couchdb(body: bytes) -> None:
    assert TAKING.take(body, NOW) is None


@pytest.mark.parametrize("namespace", ["a//b", "/a", "a/"])
def test_an_id_that_the_document_would_not_have_is_left_to_couchdb(namespace: str) -> None:
    record = RECORD.replace('"guest"', f'"{namespace}"', 1)
    body = document(record, own=f'"_id":"{namespace}/{ID}","entityType":"activation"')
    assert TAKING.take(body, NOW) is None
    assert TAKING.take(body, NOW, f"{namespace}/{ID}") is None


def test_the_id_may_stand_in_the_path_alone() -> None:
    body = document(own='"entityType":"activation"')
    assert TAKING.take(body, NOW, f"guest/{ID}") is not None


def test_the_id_in_the_path_and_the_document_must_agree() -> None:
    assert TAKING.take(document(), NOW, f"guest/{ID}") is not None
    assert TAKING.take(document(), NOW, f"guest/{ID[::-1]}") is None


def test_the_document_is_what_the_persister_will_make_of_the_record() -> None:
    record = taken(document())
    decision = route(TopicRole.OTHERS, record.message, record.updated, RULES)
    assert isinstance(decision, Store)
    assert decision.document == record.document


@pytest.mark.parametrize(
    "given, kept",
    [
        (f'"updated":{NOW - 1_000}', NOW - 1_000),
        (f'"updated":{NOW + 60_000}', NOW + 60_000),
        (f'"updated":{NOW - 3_600_000}', NOW),
        (f'"updated":{NOW + 3_600_000}', NOW),
        ('"updated":0', NOW),
    ],
)
def test_openwhisks_own_time_of_writing_is_kept_unless_a_clock_is_wrong(
    given: str, kept: int
) -> None:
    record = taken(document(updated=f"{given},"))
    assert record.updated == kept
    assert json.loads(record.document)["updated"] == kept


def test_equal_documents_have_equal_revisions() -> None:
    other = document().replace(b"hello", b"other")
    assert taken(document()).revision == taken(document()).revision
    assert taken(document()).revision != taken(other).revision
    assert taken(document()).revision == first_revision(taken(document()).document)


def test_bulk_documents_keep_their_bytes() -> None:
    documents = [document(), b'{"a": 1E+5}', b"3"]
    assert bulk_documents(b"".join(bulk_body(documents))) == documents
    assert bulk_documents(b'{"new_edits": true, "docs":[1 , 2]}') == [b"1", b"2"]


def test_every_id_that_is_taken_can_be_named_by_a_path() -> None:
    """CouchDB can be set to take longer lines, and then knows longer ids."""

    def of(namespace: str) -> bytes:
        return document().replace(b"guest", namespace.encode())

    longest = taken(of("a" * 251)).id  # and what the subject has more makes 256
    encoded = "".join(f"%{byte:02x}" for byte in longest.encode())
    assert change("DELETE", f"/db/{encoded}?rev=1-a", {}, "db").ids == (longest,)
    assert TAKING.take(of("a" * 257), NOW) is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"docs":[],"new_edits":false}',
        b'{"docs":[],"all_or_nothing":true}',
        b'{"docs":{}}',
        b'{"docs":[1,]}',
        b'{"docs":[1]',
        b"[]",
        b"",
        b"\xff",
    ],
)
def test_a_bulk_request_that_is_more_than_a_write_or_broken_is_left_to_couchdb(body: bytes) -> None:
    assert bulk_documents(body) is None


def test_an_id_named_twice_is_left_to_couchdb() -> None:
    def other(activation_id: str) -> bytes:
        return document().replace(ID.encode(), activation_id.encode())

    def answered(*bodies: bytes) -> list[Any]:
        ids = [id_of(body) for body in bodies]
        records = without_repeated(ids, [TAKING.take(body, NOW) for body in bodies])
        return [record and record.id for record in records]

    update = json.dumps({"_id": f"guest/{ID}", "_rev": "1-a"}).encode()
    alone = other(ID[::-1])
    assert answered(document(), alone, document()) == [None, f"guest/{ID[::-1]}", None]
    assert answered(update, document(), alone, b"{}") == [None, None, f"guest/{ID[::-1]}", None]
