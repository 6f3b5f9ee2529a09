"""Finds the activation that a dead letter belongs to, where that is possible."""

import re

import msgspec
from msgspec import Raw, Struct

from models.dead_letter import DeadLetter

_LONGEST = 64


class _Message(Struct):
    response: Raw = Raw()
    activationId: Raw = Raw()  # noqa: N815 - the name on the wire


_message = msgspec.json.Decoder(_Message)
_QUOTED = re.compile(rb'"activationId"\s*:\s*"([^"\\]{1,64})"')


def activation_id(letter: DeadLetter) -> str | None:
    """The activation id in the record, or None if there is none.

    Lenient, because dead letters are often malformed: takes the id of an OpenWhisk message,
    whatever follows the field's name in text that is not JSON, or a document's key.
    """
    value = letter.value or b""
    return _printable(_of_message(value) or _of_text(value) or _of_key(letter.key))


def _of_message(value: bytes) -> object:
    try:
        message = _message.decode(value)
        response = bytes(message.response)
        if response.startswith(b"{"):
            return _text(_message.decode(response).activationId)
        return _text(response) or _text(message.activationId)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(written: bytes | Raw) -> object:
    """Decode a short string; None for anything else."""
    text = memoryview(written)
    short = len(text) <= _LONGEST * 6 and text[:1].tobytes() == b'"'
    return msgspec.json.decode(text) if short else None


def _of_text(value: bytes) -> object:
    found = _QUOTED.search(value)
    return found[1].decode(errors="replace") if found else None


def _of_key(key: bytes | None) -> object:
    return key.decode() if key and re.fullmatch(rb"[0-9a-f]{32}", key) else None


def _printable(found: object) -> str | None:
    text = isinstance(found, str) and 0 < len(found) <= _LONGEST and found.isprintable()
    return str(found) if text else None
