"""Makes text from records, topics, requests and databases safe for a log or a terminal.

Such text could otherwise forge a line of the log, control the reader's terminal, or fill the disk.
"""

LONGEST = 1000
"""Characters that are shown of one text, unless the caller says otherwise."""

_PIECE = 16 * 1024
"""Characters that are escaped together: each takes some eighty bytes meanwhile."""


def printable(text: str, besides: str = "", *, longest: int | None = None) -> str:
    """The text with everything that is not printable escaped: controls, line ends, surrogates.

    Args:
        text: of whatever origin.
        besides: characters that may stay as they are, such as line ends.
        longest: characters of the text to show; how many are left out is said. None shows all.
    """
    left_out = 0 if longest is None else max(0, len(text) - longest)
    if left_out:
        text = text[:longest]
    if not text.isprintable():
        starts = range(0, len(text), _PIECE)
        text = "".join([_escaped(text[start : start + _PIECE], besides) for start in starts])
    return f"{text}... ({left_out} more characters)" if left_out else text


def shown(value: object, *, longest: int = LONGEST) -> str:
    """Any value as one printable line of bounded length; bytes as the UTF-8 that they may be."""
    if isinstance(value, bytes | bytearray):
        # A character takes at most four bytes.
        return printable(
            bytes(value[: 4 * longest]).decode(errors="backslashreplace"), longest=longest
        )
    try:
        text = str(value)
    except RecursionError:
        text = f"a {type(value).__name__} of many levels"
    return printable(text, longest=longest)


def _escaped(text: str, besides: str) -> str:
    return "".join(
        char if char.isprintable() or char in besides else char.encode("unicode_escape").decode()
        for char in text
    )
