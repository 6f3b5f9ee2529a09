import pytest
from multidict import CIMultiDict

from openwhisk.gateway.targets import (
    ANOTHER_DATABASE,
    ANY,
    BULK,
    NOTHING,
    Change,
    Named,
    Target,
    change,
    read,
    target,
)

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


ID = "guest/0123"


def changed(method: str, path: str, **headers: str) -> Change:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return change(method, path, CIMultiDict(named), DATABASE)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "COPY", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        PUT,
        f"{PUT}?rev=1-a",
        f"{PUT}?batch=ok&rev=1-a",
        f"{PUT}?new_edits=false",
        f"{PUT}/an/attachment?rev=1-a",
        f"/{DATABASE}//guest%2F0123/",
        "/whisk%5Factivations/guest%2f0123?a/b",
        f"http://host:5984{PUT}?rev=1-a",
    ],
)
def test_what_a_path_names_is_changed(method: str, path: str) -> None:
    assert changed(method, path) == Change((ID,))
    assert changed(method, path, If_Match="1-a", Content_Type="multipart/related").ids == (ID,)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "_design/a/_update/f",
        "_design/a/_update/f/guest%2F0123?a=b",
        "_design/a/%5Fupdate/f",
        "//_design//a//_update//f",
        "%5Fdesign/a/_update/f",
        "_design/a/_rewrite",
        "_design/a/_rewrite/guest%2F0123",
        "_design/a/%5Frewrite/x?rev=1-a",
    ],
)
def test_a_function_of_a_design_document_changes_any(method: str, path: str) -> None:
    """CouchDB 3.5.0 gives them every method but a GET of `_update`, which it refuses."""
    assert changed(method, f"/{DATABASE}/{path}", X_HTTP_Method_Override="GET") == ANY
    assert changed(method, f"/whisk_actions/{path}") == NOTHING


def test_a_copy_changes_what_it_is_copied_to() -> None:
    copied = changed("COPY", PUT, Destination="guest%2F4567?rev=1-a")
    assert copied == Change((ID, "guest/4567"))


def test_a_method_in_a_header_counts_as_with_couchdb() -> None:
    assert changed("POST", PUT, X_HTTP_Method_Override="DELETE").ids == (ID,)
    assert changed("POST", f"/{DATABASE}/_bulk_docs", X_HTTP_Method_Override="GET") == NOTHING
    assert changed("GET", PUT, X_HTTP_Method_Override="DELETE") == NOTHING
    assert changed("POST", f"/{DATABASE}", X_HTTP_Method_Override="DELETE;x").all
    given = {"X_HTTP_Method_Override": "x", "Content_Type": "application/json"}
    assert changed("POST", f"/{DATABASE}", **given).named is Named.ONE
    json = ("Content-Type", "application/json")
    twice = CIMultiDict([json, *[("X-HTTP-Method-Override", "GET")] * 2])
    assert change("POST", f"/{DATABASE}", twice, DATABASE).named is Named.ONE


@pytest.mark.parametrize(
    "path,named",
    [
        ("", Named.ONE),
        ("/", Named.ONE),
        ("?batch=ok", Named.ONE),
        ("/_bulk_docs", Named.DOCS),
        ("/_bulk_docs?w=2", Named.DOCS),
        ("//%5Fbulk_docs/", Named.DOCS),
        ("/_purge", Named.NAMES),
    ],
)
def test_some_bodies_name_what_is_changed(path: str, named: Named) -> None:
    for given in ("application/json", "application/json;charset=UTF-8", ";application/json;"):
        assert changed("POST", f"/{DATABASE}{path}", Content_Type=given) == Change(named=named)
    twice = CIMultiDict([("Content-Type", "text/plain"), ("Content-Type", "application/json")])
    assert change("POST", f"/{DATABASE}{path}", twice, DATABASE) == Change(named=named)


@pytest.mark.parametrize("given", [{}, {"Content_Type": "text/plain"}, {"Content_Type": "a/json"}])
def test_what_couchdb_answers_415_changes_nothing(given: dict[str, str]) -> None:
    for path in ("", "/_bulk_docs", "/_purge"):
        assert changed("POST", f"/{DATABASE}{path}", **given) == NOTHING


@pytest.mark.parametrize(
    "path", ["/whisk_activations", "//whisk%5Factivations/", "/whisk_activations?q=8"]
)
def test_a_request_may_be_about_the_whole_database(path: str) -> None:
    assert changed("DELETE", path) == changed("PUT", path) == ANOTHER_DATABASE
    assert not changed("GET", path).all


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", PUT),
        ("HEAD", PUT),
        ("OPTIONS", PUT),
        ("GET", f"/{DATABASE}/_design/a/_view/b?key=1"),
        ("POST", f"/{DATABASE}/_design/a/_view/_update"),
        ("POST", f"/{DATABASE}/_find"),
        ("POST", f"/{DATABASE}/_all_docs"),
        ("PUT", f"/{DATABASE}/_design/whisks"),
        ("PUT", f"/{DATABASE}/_local/a"),
        ("POST", "/whisk_actions"),
        ("PUT", "/whisk_actions/guest%2F0123"),
        ("POST", "/"),
        ("OPTIONS", "*"),
    ],
)
def test_everything_else_changes_no_activation(method: str, path: str) -> None:
    assert changed(method, path, Content_Type="application/json") == NOTHING


def test_a_plain_read_of_an_activation_is_known() -> None:
    assert read("GET", PUT, DATABASE) == read("HEAD", PUT, DATABASE) == ID
    for method, path in [
        ("DELETE", PUT),
        ("GET", f"{PUT}?rev=1-a"),
        ("GET", f"{PUT}/logs"),
        ("GET", f"/{DATABASE}/_changes"),
        ("GET", "/whisk_actions/guest%2F0123"),
    ]:
        assert read(method, path, DATABASE) is None
