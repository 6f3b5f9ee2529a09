import pytest
from multidict import CIMultiDict

from openwhisk.gateway.targets import BULK, Target, target

DATABASE = "whisk_activations"
PUT = f"/{DATABASE}/guest%2F0123"


def judged(method: str, path: str, **headers: str) -> Target | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return target(method, path, CIMultiDict(named), DATABASE)


@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=UTF-8"])
def test_a_bulk_write_into_the_activations_database_may_be_taken(content_type: str) -> None:
    assert judged("POST", f"/{DATABASE}/_bulk_docs", Content_Type=content_type) == BULK


@pytest.mark.parametrize(
    "given", [{}, *({"Content_Type": odd} for odd in ("", "Application/JSON", "text/plain", "x;a"))]
)
def test_a_bulk_write_that_couchdb_would_answer_415_passes_through(given: dict[str, str]) -> None:
    """So that no web page can make a browser write without asking the server first."""
    assert judged("POST", f"/{DATABASE}/_bulk_docs", **given) is None


@pytest.mark.parametrize(
    "segment, document_id",
    [
        ("guest%2F0123", "guest/0123"),
        ("guest%2f0123", "guest/0123"),
        ("a+b%40c%2F0123", "a b@c/0123"),  # as java.net.URLEncoder writes it
        ("a%20b%2F0123", "a b/0123"),
    ],
)
def test_a_put_names_its_document(segment: str, document_id: str) -> None:
    assert judged("PUT", f"/{DATABASE}/{segment}") == Target(document_id)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", PUT),
        ("DELETE", PUT),
        ("POST", f"/{DATABASE}"),
        ("POST", f"/{DATABASE}/_purge"),
        ("POST", f"/{DATABASE}/_bulk_get"),
        ("PUT", f"/{DATABASE}"),
        ("PUT", f"/{DATABASE}/_bulk_docs"),
        ("PUT", f"/{DATABASE}/_design/whisks"),
        ("PUT", f"/{DATABASE}/guest/0123"),  # an attachment
        ("PUT", f"{PUT}/logs"),
        ("PUT", f"{PUT}?rev=1-a"),
        ("PUT", f"{PUT}?new_edits=false"),
        ("PUT", f"/{DATABASE}/%FF%2F0123"),
        ("PUT", f"/{DATABASE}/guest%2F{'%2e' * 3000}"),  # a longer line than CouchDB takes
        ("POST", f"/{DATABASE}/_bulk_docs?w=3"),
        ("POST", "/whisk_actions/_bulk_docs"),
        ("POST", f"//{DATABASE}/_bulk_docs"),
        ("POST", f"http://host/{DATABASE}/_bulk_docs"),
        ("POST", "*"),
    ],
)
def test_everything_else_passes_through(method: str, path: str) -> None:
    assert judged(method, path, Content_Type="application/json") is None


@pytest.mark.parametrize(
    "name, value",
    [
        ("If_Match", '"1-a"'),
        ("If_None_Match", "*"),
        ("X_HTTP_Method_Override", "DELETE"),
        ("Content_Type", "multipart/related"),
        ("Content_Encoding", "br"),
    ],
)
def test_headers_that_change_the_meaning_pass_through(name: str, value: str) -> None:
    assert judged("PUT", PUT, **{name: value}) is None


@pytest.mark.parametrize("name", ["Authorization", "Content-Encoding", "Content-Type", "Cookie"])
def test_what_says_two_things_is_for_couchdb_to_understand(name: str) -> None:
    value = {"Content-Encoding": "gzip", "Content-Type": "application/json"}.get(name, "a")
    assert target("PUT", PUT, CIMultiDict([(name, value)]), DATABASE) is not None
    assert target("PUT", PUT, CIMultiDict([(name, value)] * 2), DATABASE) is None


@pytest.mark.parametrize(
    "name, value",
    [
        ("Content_Type", "application/json; charset=UTF-8"),
        ("Content_Encoding", "gzip"),
        ("Content_Encoding", "identity"),
    ],
)
def test_headers_that_do_not_change_the_meaning_are_understood(name: str, value: str) -> None:
    assert judged("PUT", PUT, **{name: value}) is not None


def test_a_database_name_may_need_encoding() -> None:
    headers = CIMultiDict({"Content-Type": "application/json"})
    assert target("POST", "/a%2Fb%2Bc/_bulk_docs", headers, "a/b+c") == BULK
