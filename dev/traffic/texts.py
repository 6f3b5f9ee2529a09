"""Generates text of a given size, quickly."""

from random import Random

_WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"]
_SCRIPTS = [
    "naïve",
    "世界",
    "🚀",
    "ключ",
    "日本語",
    "مرحبا",
    "ψυχή",
    "a\u0301",
    "\u0000",
    '"quoted"',
    "\\",
]
_ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_POOL_WORDS = 16 * 1024


class Texts:
    """Slices two pools of random words, one in ASCII and one in many scripts."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._plain = self._pool(_WORDS)
        self._scripts = self._pool(_WORDS + _SCRIPTS)

    def text(self, size: int, *, unicode: bool = False) -> str:
        """A text of `size` bytes in UTF-8 (a few less with other scripts)."""
        pool = self._scripts if unicode else self._plain
        begin = self._random.randrange(len(pool))
        if begin + size > len(pool):
            pool *= 2 + size // len(pool)
        return pool[begin : begin + size].decode(errors="ignore")

    def alphanumeric(self, length: int) -> str:
        """Letters and digits."""
        return "".join(self._random.choices(_ALPHANUMERIC, k=length))

    def activation_id(self) -> str:
        """32 hex digits."""
        return f"{self._random.getrandbits(128):032x}"

    def _pool(self, words: list[str]) -> bytes:
        return " ".join(self._random.choices(words, k=_POOL_WORDS)).encode() + b" "
