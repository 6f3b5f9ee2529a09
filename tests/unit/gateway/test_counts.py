import msgspec
import pytest

from openwhisk.gateway.counts import few_documents, few_members, few_values


@pytest.mark.parametrize(
    "body,few",
    [
        (b'{"docs":[]}', True),
        (b'{"docs":[{},{}]}', True),
        (b'{"new_edits":true,"docs":[{"a":[1,2,3,4]},{"_id":"b"}]}', True),
        (b'{"docs":[{},{},{}]}', False),
        (b'{"docs":[1]}', False),
        (b'{"docs":[{},[]]}', False),
        (b'{"docs":{}}', False),
        (b"{}", False),
        (b'{"docs":[{}', False),
        (b"\xff", False),
        (b'{"docs":' + b"[" * 100_000, False),
    ],
)
def test_documents_are_counted_before_they_are_built(body: bytes, *, few: bool) -> None:
    assert few_documents(body, 2) is few


def test_each_body_is_counted_anew() -> None:
    assert all(few_documents(b'{"docs":[{},{}]}', 2) for _ in range(5))
    assert not few_documents(b'{"docs":[{},{},{}]}', 2)
    assert few_documents(b'{"docs":[{},{}]}', 2)


@pytest.mark.parametrize("unit", [b"1,", b"[],", b"{},", b'{"a":{}},', b"[[[["])
def test_values_are_bounded_without_parsing(unit: bytes) -> None:
    assert few_values(unit * 10, 100)
    assert not few_values(unit * 101, 100)


@pytest.mark.parametrize("value", [b"1", b"[1,2,3]", b'{"a":1,"b":2}', b'"{},[]"'])
def test_only_members_of_the_outermost_object_are_counted(value: bytes) -> None:
    members = [b'"k%d":%b' % (number, value) for number in range(3)]
    assert few_members(b"{%b}" % b",".join(members), 3)
    assert not few_members(b"{%b}" % b",".join(members), 2)


def test_what_is_no_object_has_no_members() -> None:
    assert not few_members(b"[1,2,3,4]", 2)
    with pytest.raises(msgspec.DecodeError):
        few_members(b'{"a":1,"b":2,"c":3', 2)
