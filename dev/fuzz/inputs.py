"""Generates inputs, each from a seed."""

import json
from random import Random
from typing import Final

MEMBERS: Final = (
    *(b'"":0,', b'"\\n":0,', b'"\\ud800":0,', b'"\\u0061":0,', b'"\\u0065nd":2,', b'"end":2,'),
    *(
        b'"n":0,',
        b'"":[0],',
        b'"":[[[0]]],',
        b'"":{"":0},',
        b'"updated":0,',
        b'"a":"",',
        b'"k#":0,',
    ),
    *(
        b'"":' + b"[" * 70 + b"]" * 70 + b",",
        b'"cause":null,',
        b'"k#":0,',
        b'"\\u005fid":0,',
        b'"transid":0,',
    ),
)
"""Of any object."""

PIECES: Final = (
    *(b"[", b"]", b"{", b"}", b"[]", b"{}", b"[],", b"{},", b",", b":"),
    *(b'"', b'\\"', b"\\", b"\\\\", b'"":', b'"a":', b'"_a":1,', b'"a":1,', b'"a":"b",', b'{"a":'),
    *(b'["",', b'"",', b'"aa",', b'"x#",', b'"k#":1,', b'"k#":"",', b"#,", b"1,", b"0", b"9"),
    *(b"12,", b"300,", b"1.5,", b"1e5,", b"5e-324,", b"-", b"-1", b"1e", b"e", b".", b"+"),
    *(b"1e300,", b"-1e-310,", b"123456789012345678901234567890,", b"0.1234567890123456789e-9,"),
    *(b"true,", b"null,", b"tru", b"\\u005f", b"\\ud800", b"\\udc00", b"\\u00e9", b"\\u0000"),
    *(b" ", b"\n\t", b"\x00", b"\x1f", b"\xff", b"\xc3", b"\xc3\xa9", b"\xe4\xb8\x96"),
    *(b"\xf0\x9f\x9a\x80", b"a", b"a/", b"/", b"a ", b"_", b"guest/", b"0.", b"1.0.0"),
    *(
        b'"activationId":"',
        b'"activationId" : "',
        b'{"key":"","value":0},',
        b'{"key":"k#","value":',
    ),
    *(b'{"key":"k#","value":1},', b'"_id":"_design/x",', b'"\\u005fid":"a",', b'"response":{'),
    *(b'"start":"x",', b'"logs":["', b'{"transid":["t",1,true,', b'{"instance":', b'"updated":2,'),
    *(b'"entityType":1,', b"2026-01-02T03:04:05.678Z"),
)
"""`#` becomes the number of the repetition."""

_ID: Final = "0123456789abcdef0123456789abcdef"
_RECORD: Final = {
    "namespace": "guest",
    "name": "hello",
    "subject": "guest",
    "activationId": _ID,
    "start": 1_767_325_445_123,
    "end": 1_767_325_445_210,
    "response": {"statusCode": 0, "result": {"greeting": "Hello"}, "size": 20},
    "logs": ["2026-01-02T03:04:05.678901234Z stdout: text"],
    "version": "0.0.1",
    "publish": False,
    "annotations": [{"key": "path", "value": "guest/hello"}],
    "duration": 87,
}
_DOCUMENT: Final = {
    "_id": f"guest/{_ID}",
    "entityType": "activation",
    "updated": 1,
    **_RECORD,
}
_TEXTS: Final = ("namespace", "name", "subject", "version", "cause")
_HERE: Final = "<here>"
_AS_MEMBERS: Final = 5
"""Every so manieth input is an object of very many members."""

_AS_JSON, _BROKEN = 0.7, 0.1


def _in_record(name: str, value: object) -> bytes:
    fields = _RECORD | {name: value}
    return json.dumps({"transid": ["t", 1], "response": fields}).encode()


_UNUSUAL: Final = {"_": "9" * 101}
"""Has to be looked at closely, and so has all that is in the same record."""


def _among(place: bytes) -> bytes:
    """A place for members, not for a value."""
    return place.replace(b'"<here>": 1', b"<here>" + b'"z": 1', 1)


_AMONG: Final = tuple(
    _among(json.dumps(message).encode())
    for message in (
        {"response": {_HERE: 1, **_RECORD, "more": _UNUSUAL}},
        {"response": {**_RECORD, "more": _UNUSUAL, "updated": 1, _HERE: 1}},
        {"response": {_HERE: 1, **_RECORD, "start": "2026-01-02T03:04:05Z"}},
        {"response": {**_RECORD, "more": _UNUSUAL, "response": {_HERE: 1, "statusCode": 0}}},
        {
            "response": {
                **_RECORD,
                "annotations": [{"key": "", "value": 0, _HERE: 1}],
                "more": _UNUSUAL,
            }
        },
        {_HERE: 1, "response": {**_RECORD, "more": _UNUSUAL}},
        {_HERE: 1, **_DOCUMENT, "more": _UNUSUAL},
    )
)
"""Where members go, in objects that have others."""

_PLACES: Final = (
    b"<here>",
    *(_in_record(name, _HERE) for name in (*_RECORD, "newer")),
    _in_record("response", {"statusCode": 0, "result": _HERE}),
    _in_record("response", {"statusCode": 0, "result": [{"a": _HERE}]}),
    _in_record("logs", [_HERE]),
    _in_record("annotations", [{"key": "a", "value": _HERE}]),
    _in_record("annotations", [{"key": _HERE, "value": 1}]),
    _in_record(_HERE, 1),
    *(
        json.dumps(_DOCUMENT | {name: _HERE}).encode()
        for name in (*_TEXTS, "logs", "response", "annotations", "newer", "updated")
    ),
    json.dumps(_DOCUMENT | {"response": {"statusCode": 0, "result": _HERE}}).encode(),
    json.dumps(_DOCUMENT | {_HERE: 1}).encode(),
    json.dumps({"transid": _HERE, "response": _RECORD}).encode(),
    json.dumps({"transid": ["t", 1, True, _HERE], "response": _RECORD}).encode(),
    json.dumps({"instance": _HERE, "activationId": _ID}).encode(),
    json.dumps({"instance": {}, "activationId": _HERE}).encode(),
    json.dumps({"response": _HERE}).encode(),
    json.dumps({_HERE: 1, "response": _RECORD}).encode(),
    json.dumps({"_id": f"guest/{_ID}", "updated": 1, **_RECORD, "logs": _HERE}).encode(),
    json.dumps({"_id": _HERE, "updated": 1, **_RECORD}).encode(),
)
_AROUND: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"", b""),
    (b'"', b'"'),
    (b'"', b'\xf0\x9f\x9a\x80"'),
    (b"[", b"0]"),
    (b"[", b'""]'),
    (b"[", b'{"key":"z","value":0}]'),
    (b"{", b'"z":0}'),
    (b'["', b'"]'),
    (b"[" * 201, b""),
    (b"[" * 990, b"]" * 990),
    (b'[{"a":', b"}]"),
)


def made(seed: int, size: int) -> bytes:
    """An input of about so many bytes; the same for the same seed."""
    random = Random(seed)  # noqa: S311 - inputs, no secrets
    if seed % _AS_MEMBERS == 0:
        unit = b"".join(random.choices(MEMBERS, k=random.choice((1, 1, 2, 3))))
        members = _times(unit, size)
        return random.choice(_AMONG).replace(_HERE.encode(), members)
    choose = random.choice((_repeated, _repeated, _mixed))
    before, after = random.choice(_AROUND)
    place = random.choice(_PLACES)
    unit = choose(random)
    repeated = _times(unit, size)
    if random.random() < _AS_JSON:
        # Not within the quotes of a string.
        place = place.replace(b'"<here>"', b"<here>")
    value = place.replace(_HERE.encode(), before + repeated + after)
    if random.random() < _BROKEN:
        at = random.randrange(len(value))
        value = value[:at] + random.choice(PIECES) + value[at + random.randrange(3) :]
    return value


def _times(unit: bytes, size: int) -> bytes:
    times = range(max(1, size // len(unit)))
    return b"".join(unit.replace(b"#", b"%d" % number) for number in times)


def _repeated(random: Random) -> bytes:
    return b"".join(random.choices(PIECES, k=random.choice((1, 1, 1, 2, 2, 3))))


def _mixed(random: Random) -> bytes:
    return b"".join(random.choices(PIECES, k=random.randrange(20, 200)))
