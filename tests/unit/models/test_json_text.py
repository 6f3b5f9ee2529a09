"""JSON as bytes: accepted and cut as `exact_json` reads it."""

import json
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import exact_json, json_grammar, json_text
from models.json_grammar import WINDOW

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
SMALL = st.text(alphabet='[]{}",:\\ \n\t09.eE+-tfnu\x00\x1faé', max_size=12)
DEEP = [
    "[" * depth + inner + "]" * depth
    for depth in (998, 999, 1000, 1001)
    for inner in ("", "0", "[]", "{}", '{"a":0}', "0,1", '""')
]


def reads(text: str) -> bool:
    try:
        exact_json.loads(text)
    except ValueError:
        return False
    return True


def passes(text: str) -> bool:
    try:
        json_grammar.check(text.encode())
    except ValueError:
        return False
    return True


@given(SMALL)
@example("")
@example("[1,]")
@example('{"a":1,}')
@example("[1 2]")
@example('{"a" 1}')
@example('["a":1]')
@example("[}")
@example("1]")
@example(" [ ] ")
@example("\ufeff1")
@example("\xa01")
def test_exactly_what_is_json_passes(text: str) -> None:
    assert passes(text) == reads(text)


@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"a"', ":", ",", "1", " ", "[]", "{}"])))
def test_exactly_what_is_put_together_well_passes(tokens: list[str]) -> None:
    assert passes("".join(tokens)) == reads("".join(tokens))


@pytest.mark.parametrize("text", DEEP)
def test_as_deep_as_openwhisk_reads(text: str) -> None:
    assert passes(text) == reads(text)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_all_json_passes(value: object, indent: int | None, ascii_: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)

    json_grammar.check(text.encode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "[" * 5000, "[1,]", " {} "])
def test_any_depth_can_be_checked(text: str) -> None:
    if text == "[1,]" or text.endswith("["):
        with pytest.raises(ValueError, match="expected"):
            json_grammar.check_of_any_depth(text.encode())
    else:
        json_grammar.check_of_any_depth(text.encode())


@pytest.mark.parametrize("before", ["", '"",', '"[",' * WINDOW, "[0]," * WINDOW, "[]," * WINDOW])
@pytest.mark.parametrize("text", DEEP)
def test_depth_is_counted_beside_whatever_else(before: str, text: str) -> None:
    message = f"[{before}{text[1:]}"
    assert passes(message) == passes(text)


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xed\xa0\x80"', b"\xff"])
def test_what_is_not_utf_8_does_not_pass(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - Python's own words
        json_grammar.check(text)


@given(st.dictionaries(st.text(), values, max_size=4), st.sampled_from([None, 2]))
def test_members_are_found_where_they_are(fields: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(fields, indent=indent).encode()

    found = list(json_text.members(text))

    assert [json_text.name(text, one) for one in found] == list(fields)
    assert [json.loads(text[one.start : one.end]) for one in found] == list(fields.values())


@given(st.lists(values, max_size=4), st.sampled_from([None, 2]))
def test_items_are_found_where_they_are(items: list[Any], indent: int | None) -> None:
    text = json.dumps(items, indent=indent).encode()

    assert [json.loads(text[start:end]) for start, end in json_text.items(text)] == items


NAMES = st.sampled_from(
    (
        *("end", "en", "ends", "e\\nd", "\\u0065nd", "e\\u006Ed", "size", '\\"end', "\\\\u0065nd"),
        *("_", "_\\ud800", "\\u005fid", "\\ud800", "\\n", "é", ""),
    )
)
VALUES = st.sampled_from(
    (
        *("0", "-1e5", "true", '"end"', "[]", '{"end":1}', '["]",[{"_":"}"}]]'),
        *("[" * 45 + '"["' + "]" * 45, "[" * 990 + "]" * 990),
        *('"' + "x" * WINDOW + '"', '"' + '\\"' * WINDOW + '"'),
        *("[" + '"[",' * WINDOW + '"\\\\"]', "[" + "[0]," * WINDOW + "0]"),
    )
)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.sampled_from(["", " ", "\n\t"]))
def test_members_that_matter_are_found_among_others(
    fields: list[tuple[str, str]], space: str
) -> None:
    pairs = [f'{space}"{name}"{space}:{space}{value}{space}' for name, value in fields]
    text = f"[0,{{{','.join(pairs) or space}}}]".encode()
    json_grammar.check(text)
    expected = [
        (json_text.name(text, one), *one)
        for one in json_text.members(text, 3)
        if (name := json_text.name(text, one)) in {"end", "size"} or name.startswith("_")
    ]

    assert list(json_text.Names(["end", "size"], prefix="_").members(text, 3)) == expected
    assert [text[one[3] : one[4]].decode() for one in expected] == [
        value
        for name, value in fields
        if (decoded := json.loads(f'"{name}"')) in {"end", "size"} or decoded.startswith("_")
    ]


@settings(deadline=None)
@given(st.lists(VALUES, max_size=6), st.sampled_from(["", " ", "\n\t"]))
def test_an_array_is_cut_into_its_items_and_into_parts(items: list[str], space: str) -> None:
    text = f"[{','.join(space + item + space for item in items)}]".encode()

    assert [text[start:end].decode() for start, end in json_text.items(text)] == items
    parts = [part.decode()[1:-1] for part in json_text.parts(text, 0)]
    assert "".join(",".join(parts).split()) == "".join(text.decode()[1:-1].split())
    for part in parts:
        json_grammar.check(f"[{part}]".encode())
    assert json_text.holds_texts_only(text, 0) == all(item[0] == '"' for item in items)


def test_an_array_is_cut_into_parts_that_are_short() -> None:
    text = b"[" + b'"x",' * WINDOW + b"0]"
    assert max(map(len, json_text.parts(text, 0))) <= WINDOW + 2


@given(values)
def test_a_value_is_decoded_as_far_as_it_holds_no_others(value: object) -> None:
    text = json.dumps(value)
    expected = exact_json.loads(text)
    if isinstance(expected, list | dict):
        expected = type(expected)()

    assert json_text.shallow(text.encode(), 0, len(text.encode())) == expected


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_a_string_is_decoded_whatever_is_in_it(text: str) -> None:
    written = json.dumps(text).encode()
    assert json_text.string(b"x" + written + b"y", 1, 1 + len(written)) == text


@pytest.mark.parametrize("beyond", [r"\ud83d\ude00", "😀", "é"])
@pytest.mark.parametrize("rest", ["abcdefgh", r"abcdefg\u00e9"])
def test_a_string_takes_little_beside_itself(rest: str, beyond: str) -> None:
    text = f'"{rest * 20_000}{beyond}"'.encode()
    json_text.string(text, 0, len(text))
    tracemalloc.start()
    try:
        string = json_text.string(text, 0, len(text))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most - sys.getsizeof(string) < 3 * len(text)


@pytest.mark.parametrize("text", ["9" * 101, '{"a":"","b":[-1.' + "0" * 97 + "e+5]}"])
def test_numbers_that_are_too_long_for_openwhisk(text: str) -> None:
    assert json_text.has_long_number(text.encode())


@pytest.mark.parametrize(
    "text", ["9" * 100, json.dumps(["9" * 200, '"' + "9" * 200, "\\" * 3 + "9" * 200, "-"])]
)
def test_numbers_and_texts_that_are_not(text: str) -> None:
    assert not json_text.has_long_number(text.encode())


@pytest.mark.parametrize("before", range(WINDOW - 120, WINDOW + 3, 7))
def test_a_long_number_is_found_wherever_it_is(before: int) -> None:
    filling = b'["' + b"9" * 101 + b"x" * (before - 103) + b'",'
    assert json_text.has_long_number(filling + b"9" * 101 + b"]")
    assert json_text.has_long_number(filling + b"1," * WINDOW + b"-" + b"9" * 100 + b"]")
    assert not json_text.has_long_number(filling + b"9" * 100 + b"]")


FIELDS = json_text.Names(["end", "size"], prefix="_")

EDGES = [1, WINDOW - 3, WINDOW - 2, WINDOW - 1, WINDOW, WINDOW + 16, 5 * WINDOW]


@pytest.mark.parametrize("space", [1, WINDOW - 40, WINDOW, 3 * WINDOW])
@pytest.mark.parametrize("before", EDGES)
def test_nothing_is_overlooked_behind_a_comma_with_space(before: int, space: int) -> None:
    """A window may end anywhere in it."""
    gap = b"," + b" " * space
    text = gap.join(
        (b'{"end":1', b'"n":"%b"' % (b"x" * before), b'"_id":2', b'"m":0', b'"size":3}')
    )
    found = [(name, text[start:end]) for name, *_, start, end in FIELDS.members(text)]
    assert found == [("end", b"1"), ("_id", b"2"), ("size", b"3")]
    texts = gap.join((b'["a"', b'"%b"' % (b"x" * before), b'"b"', b"1]"))
    assert not json_text.holds_texts_only(texts, 0)
    assert json_text.holds_texts_only(texts.replace(b"1]", b'"c"]'), 0)
    cut = [json.loads(part) for part in json_text.parts(texts, 0)]
    assert [item for part in cut for item in part] == ["a", "x" * before, "b", 1]


def test_long_keys_are_not_kept() -> None:
    text = b"{%b}" % b",".join(b'"_%06d%b":0' % (number, b"x" * 5000) for number in range(500))
    list(FIELDS.members(text))
    tracemalloc.start()
    try:
        for _ in FIELDS.members(text.replace(b"x", b"y")):
            pass
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


@pytest.mark.parametrize("half", [rb"\ud86b", rb"\uDC65", rb"\ud822"])
def test_no_letter_takes_the_place_of_half_a_pair(half: bytes) -> None:
    """Or a name that OpenWhisk does not know would become one that it knows."""
    whole = json_grammar.with_whole_characters(b'"%b"' % half)
    assert len(whole) == len(half) + 2
    assert not json.loads(whole).isascii()


@pytest.mark.parametrize("levels", [66, 990])
def test_few_depths_are_counted(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting that before each bracket took half a second for a megabyte of annotations."""
    counted = 0

    def count(steps: bytes, depth: int) -> Any:
        nonlocal counted
        counted += len(steps)
        return depths(steps, depth)

    depths = json_grammar.depths
    monkeypatch.setattr(json_grammar, "depths", count)
    monkeypatch.setattr(json_text, "depths", count)
    item = b"[" * levels + b"]" * levels
    text = b"[%b]" % b",".join([item] * 200)
    json_grammar.check(text)
    assert [end - start for start, end in json_text.items(text)] == [2 * levels] * 200
    assert counted < 3 * len(text)
