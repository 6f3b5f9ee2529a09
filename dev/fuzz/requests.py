"""Generates clients' requests to the gateway from a seed: a grammar of HTTP, and ways to break it.

A conversation is a few requests, one behind the other on one connection, cut into the pieces in
which they arrive. Most requests are nearly right, so that they reach what reads their bodies.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from dev.fuzz.inputs import made

DATABASE: Final = "activations"
AUTHORIZATION: Final = "Basic ZnV6ejpmdXp6"
"""Of the one user who may write."""

GENUINE: Final = 0.6
"""Share of requests that are as a client would make them, but for their body."""

_ID: Final = "0123456789abcdef0123456789abcdef"
_EOL: Final = b"\r\n"


class Conversation(NamedTuple):
    """What a client sends on one connection.

    Attributes:
        pieces: in the order in which they arrive.
        becomes: bytes that the bodies have at most, decompressed, in all.
    """

    pieces: list[bytes]
    becomes: int

    @property
    def size(self) -> int:
        """Bytes that may be counted for it: those that come, or what they become."""
        return max(self.becomes, sum(map(len, self.pieces)))


def conversation(seed: int, size: int) -> Conversation:
    """Some requests of about so many bytes in all; the same for the same seed."""
    random = Random(seed)  # noqa: S311 - inputs, no secrets
    count = random.choice((1, 1, 1, 2, 3, 20))
    sent, becomes = bytearray(), 0
    for _ in range(count):
        body, unpacked, encoding = _body(random, size // count)
        sent += _request(random, body, encoding)
        becomes += unpacked
    stream = bytes(sent)
    if random.random() < _BROKEN:
        stream = random.choice(_BREAKING)(random, stream)
    return Conversation(_pieces(random, stream), becomes)


def good(number: int, **changed: object) -> bytes:
    """A request that must be answered 201; its document may have other fields."""
    body = json.dumps(_document(f"{number:032x}", **changed)).encode()
    return _framed(
        b"PUT /%b/guest%%2F%032x HTTP/1.1" % (DATABASE.encode(), number),
        [b"Host: gateway", b"Authorization: " + AUTHORIZATION.encode()],
        body,
    )


def _document(activation_id: str, **changed: object) -> dict[str, object]:
    return {
        "_id": f"guest/{activation_id}",
        "entityType": "activation",
        "updated": 1_767_325_445_300,
        "namespace": "guest",
        "name": "hello",
        "subject": "guest",
        "activationId": activation_id,
        "start": 1_767_325_445_123,
        "end": 1_767_325_445_210,
        "response": {"statusCode": 0, "result": {"greeting": "Hello"}},
        "logs": [],
        "version": "0.0.1",
        "publish": False,
        "annotations": [],
        **changed,
    }


def _request(random: Random, body: bytes, encoding: bytes | None) -> bytes:
    if random.random() < GENUINE:
        line = b"POST /%b/_bulk_docs HTTP/1.1" % DATABASE.encode()
        if random.random() < 0.3:  # noqa: PLR2004 - a share
            line = b"PUT /%b/guest%%2F%b HTTP/1.1" % (DATABASE.encode(), _ID.encode())
        headers = [b"Host: gateway", b"Authorization: " + AUTHORIZATION.encode(), _JSON]
        if encoding:
            headers.append(b"Content-Encoding: " + encoding)
        framed = random.choice((_framed, _framed, _chunked))
        return (
            framed(line, headers, body)
            if framed is _framed
            else _chunked(line, headers, body, random)
        )
    headers = random.choices(_HEADERS, k=random.choice((0, 1, 1, 2, 4, 150)))
    headers = [_grown(random, header) for header in headers]
    if random.random() < _NEARLY_RIGHT:
        usual = [b"Host: gateway", b"Authorization: " + AUTHORIZATION.encode(), _JSON]
        headers = [*usual, *headers]
    method = _METHODS if random.random() > _NEARLY_RIGHT else _USUAL_METHODS
    path = _TARGETS if random.random() > _NEARLY_RIGHT else _USUAL_TARGETS
    version = random.choice(_VERSIONS) if random.random() > _NEARLY_RIGHT else b"HTTP/1.1"
    target = _grown(random, random.choice(path))
    line = b" ".join((random.choice(method), target, version))
    way = random.randrange(4)
    if way == 0:
        return _framed(line, headers, body)
    if way == 1:
        return _chunked(line, headers, body, random)
    if way == 2:  # noqa: PLR2004 - chunks that are none
        return _head(line, [*headers, b"Transfer-Encoding: chunked"]) + _odd_chunks(random, body)
    return _head(line, headers) + body


def _head(line: bytes, headers: list[bytes]) -> bytes:
    return _EOL.join((line, *headers, b"", b""))


def _framed(line: bytes, headers: list[bytes], body: bytes) -> bytes:
    return _head(line, [*headers, b"Content-Length: %d" % len(body)]) + body


def _chunked(line: bytes, headers: list[bytes], body: bytes, random: Random) -> bytes:
    step = random.choice((1, 7, 100, 4096, 65_536))
    if step < 100:  # noqa: PLR2004 - chunks that cost more than what is in them
        body = body[:4096]
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    end = random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX-Trailer: a\r\n\r\n", b"000\r\n\r\n"))
    return _head(line, [*headers, b"Transfer-Encoding: chunked"]) + sent + end


def _odd_chunks(random: Random, body: bytes) -> bytes:
    """Chunks as a client that means ill frames them."""
    sent = bytearray()
    for at in range(0, min(len(body), 4096), 512):
        chunk = body[at : at + 512]
        size = random.choice(_CHUNK_SIZES).replace(b"#", b"%x" % len(chunk))
        sent += _grown(random, size) + random.choice((_EOL, _EOL, b"\n", b"\r", b""))
        sent += chunk + random.choice((_EOL, _EOL, b"\n", b""))
    trailers = _EOL.join(random.choices(_HEADERS, k=random.choice((0, 1, 200))))
    return bytes(sent) + b"0\r\n" + trailers + random.choice((b"\r\n\r\n", b"\r\n", b""))


def _body(random: Random, size: int) -> tuple[bytes, int, bytes | None]:
    """A body, its size decompressed, and its `Content-Encoding`."""
    plain = random.choice(_BODIES)(random, size)
    if random.random() < 0.6:  # noqa: PLR2004 - a share
        return plain, len(plain), None
    if random.random() < 0.5:  # noqa: PLR2004 - a share
        # As much as its bytes can become: a thousand times as much.
        plain = _repeated(random, plain, 50 * size)
    packed, encoding = random.choice(_PACKED)(plain)
    return packed, len(plain), encoding


def _repeated(random: Random, plain: bytes, size: int) -> bytes:
    unit = random.choice((b" ", b"[", b'{"a":', b"0,", b"{},", b'"a",', plain[:1000] + b","))
    filling = (unit * (size // len(unit) + 1))[:size]
    return random.choice((b"%b", b'{"docs":[%b0]}', b'{"docs":[{}],"a":[%b0]}')) % filling


def _bulk(random: Random, size: int) -> bytes:
    """Documents, all or most of them good ones."""
    share = random.choice((0.0, 0.0, 0.01, 0.5))
    documents = []
    left = size
    while left > 0:
        fields = _document(f"{random.getrandbits(128):032x}")
        if random.random() < share:
            fields[random.choice((*fields, "_rev", "_deleted", "newer"))] = random.choice(_ODD)
        documents.append(json.dumps(fields))
        left -= len(documents[-1])
    return b'{"docs":[%b]}' % ",".join(documents).encode()


def _large_field(random: Random, size: int) -> bytes:
    name = random.choice(("logs", "annotations", "response", "newer", "name", "_id", "updated"))
    text = json.dumps(_document(_ID, **{name: "<here>"})).encode()
    return text.replace(b'"<here>"', made(random.getrandbits(30), size))


def _long_text(random: Random, size: int) -> bytes:
    """A good document with a long text in it, which may cost more than it seems."""
    unit = b"".join(random.choices(_IN_TEXTS, k=random.choice((1, 1, 2))))
    namespace = random.choice(("guest", "a/b"))
    fields = _document(_ID, namespace=namespace, logs=["<here>"], _id=f"{namespace}/{_ID}")
    text = json.dumps(fields).encode().replace(b"<here>", unit * (size // len(unit)))
    return random.choice((b"%b", b'{"docs":[%b]}', b'{"docs":[%b]}')) % text


def _any(random: Random, size: int) -> bytes:
    return made(random.getrandbits(30), size)


def _any_docs(random: Random, size: int) -> bytes:
    return b'{"docs":[%b]}' % made(random.getrandbits(30), size)


_ODD: Final[tuple[object, ...]] = (
    None,
    True,
    0,
    -1,
    5e-324,
    1e308,
    10**30,
    "",
    "x" * 300,
    [],
    {},
    [[]],
    "\ud800",
    "/",
)
_IN_TEXTS: Final = (
    *(b'\\":', b'\\"', b"\\\\", b"\\n", b"\\u00e9", b"\\ud83d\\ude00", b"\\u0000", b"\xc3\xa9"),
    *(
        b"\xf0\x9f\x9a\x80",
        b"x",
        b" ",
        b"0",
        b"{",
        b"[",
        b",",
        b"2026-01-02T03:04:05.678Z stdout: ",
    ),
)
_BODIES: Final[tuple[Callable[[Random, int], bytes], ...]] = (
    *(_bulk, _bulk, _bulk, _long_text, _large_field, _large_field, _any, _any_docs),
    lambda _random, _size: b"",
)


def _deflated(plain: bytes) -> tuple[bytes, bytes]:
    return zlib.compress(plain), b"deflate"


def _cut_off(plain: bytes) -> tuple[bytes, bytes]:
    packed = gzip.compress(plain, 1)
    return packed[: len(packed) * 3 // 4], b"gzip"


_PACKED: Final[tuple[Callable[[bytes], tuple[bytes, bytes]], ...]] = (
    lambda plain: (gzip.compress(plain, 1), b"gzip"),
    lambda plain: (gzip.compress(plain, 9), b"GZip"),
    lambda plain: (gzip.compress(plain[:100]) * 50 + gzip.compress(plain), b"gzip"),
    lambda plain: (gzip.compress(plain) + b"more", b"gzip"),
    lambda plain: (gzip.compress(gzip.compress(plain)), b"gzip, gzip"),
    lambda plain: (plain, b"gzip"),
    lambda plain: (plain, b"br"),
    _cut_off,
    _deflated,
)

_METHODS: Final = (
    *(b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"PATCH", b"COPY", b"TRACE"),
    *(b"CONNECT", b"get", b"", b"P\x00ST", b"M" * 200, b"PRI", b"\xff", b" GET"),
)
_TARGETS: Final = tuple(
    target.replace(b"DB", DATABASE.encode())
    for target in (
        *(b"/DB/_bulk_docs", b"/DB/guest%2Fx", b"/DB/guest/x", b"/DB", b"/", b"*", b"", b"//"),
        *(b"/DB/guest%2Fx?rev=1-a", b"/DB/%ff", b"/DB/%00/", b"/DB/..%2f..%2f_config", b"/DB/+/#"),
        *(b"http://elsewhere/DB/_bulk_docs", b"//elsewhere/DB", b"http://[::1", b"http://a:99999/"),
        *(b"/_gateway/health", b"/_gateway/metrics", b"/_gateway/%2e%2e/", b"/a\tb", b"/\xc3\xa9"),
        *(b"elsewhere:443", b"/DB/_all_docs?keys=[%22%22]", b"/DB/_changes?feed=continuous", b"?"),
    )
)
_USUAL_METHODS: Final = (b"GET", b"PUT", b"POST", b"POST", b"DELETE")
_USUAL_TARGETS: Final = _TARGETS[:3]
_VERSIONS: Final = (
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9"),
    *(b"", b"HTTP", b"http/1.1", b"HTTP/1.1 x", b"HTTP/1.1\r\n Folded: x"),
)
_JSON: Final = b"Content-Type: application/json"
_HEADERS: Final = (
    *(b"Host: gateway", b"Host:", b"Host: evil.example", b"Host: [::1", b"Host: a\xff"),
    *(b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: 64000000", b"Content-Length: 0x5"),
    *(b"Content-Length:", b"Content-Length : 5", b"Content-Length: 5 6", b"Content-Length: 05"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x"),
    *(b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding:\tchunked", b"TE: trailers"),
    *(b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: identity"),
    *(b"Content-Type: application/json", b"Content-Type: text/plain; charset=\xff", b"Trailer: X"),
    *(b"Expect: 100-continue", b"Expect: 200-ok", b"Upgrade: h2c", b"Upgrade: websocket"),
    *(b"Connection: upgrade", b"Connection: close", b"Connection: keep-alive, Authorization"),
    *(b"Connection: Content-Length, Host", b"Keep-Alive: timeout=-1", b"HTTP2-Settings: AA"),
    *(b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Key1: x", b"Sec-WebSocket-Version: 13"),
    *(b"Authorization: Basic", b"Authorization: Basic \xff", b"Authorization Basic eDp5"),
    *(b"Authorization: Bearer x", b"Cookie: AuthSession=x; AuthSession=y", b"Cookie: " + b"a=b; "),
    *(b"X-Auth-CouchDB-UserName: admin", b"X-Auth-CouchDB-Roles: _admin", b"X-Forwarded-For: x"),
    *(
        b"If-Match: *",
        b'If-None-Match: "1-x"',
        b"X-HTTP-Method-Override: DELETE",
        b"Range: bytes=0-",
    ),
    *(b"X: y", b": y", b"X:", b"X", b"X : y", b"X\x00: y", b"X: \x00", b"X: a\r\n b", b" X: y"),
    *(
        b"X: a\nY: b",
        b"X: a\rY: b",
        b"\xff: \xff",
        b"(): y",
        b"Accept-Encoding: gzip",
        b"X: \x1b[2J",
    ),
)
_CHUNK_SIZES: Final = (
    *(b"#", b"#", b"#", b"0#", b"#;a=b", b'#;a="\\""', b"# ", b" #", b"-#", b"+#", b"0x#", b"#h"),
    *(b"ffffffffffffffff", b"10000000000000000", b"7fffffff", b"", b";", b"0", b"#;", b"#\x00"),
)


def _grown(random: Random, text: bytes) -> bytes:
    """Now and then a text of thousands of bytes."""
    if random.random() > _LONG:
        return text
    return text + random.choice((b"a", b"%2e", b" ", b";a=b", b",", b"\xff", b"/", b"0")) * 9000


_NEARLY_RIGHT: Final = 0.8
_LONG: Final = 0.05
_BROKEN: Final = 0.2


def _cut(random: Random, stream: bytes) -> bytes:
    return stream[: random.randrange(len(stream) + 1)]


def _spoilt(random: Random, stream: bytes) -> bytes:
    at = random.randrange(len(stream) + 1)
    spoiling = random.choice((b"\x00", b"\r", b"\n", b"\r\n\r\n", b"\xff" * 9, b" ", b":"))
    return stream[:at] + spoiling + stream[at + random.randrange(3) :]


def _twice(random: Random, stream: bytes) -> bytes:
    at = random.randrange(len(stream) + 1)
    return stream[:at] + stream


_BREAKING: Final[tuple[Callable[[Random, bytes], bytes], ...]] = (_cut, _spoilt, _twice)


def _pieces(random: Random, stream: bytes) -> list[bytes]:
    """As the network may deliver it."""
    if random.random() < 0.6:  # noqa: PLR2004 - a share
        return [stream]
    few = min(random.choice((1, 3, 30)), len(stream))
    cuts = sorted(random.sample(range(len(stream) + 1), few))
    return [stream[start:end] for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True)]
