"""A wall clock that can jump under running workers, by means of libfaketime."""

import importlib.util
import platform
import sys
from pathlib import Path


class Clock:
    """The wall clock of the processes started with its environment.

    Time that only measures (monotonic) goes on as it does.

    Args:
        file: where the offset is kept; the library reads it at every question.
        library: of libfaketime.
    """

    def __init__(self, file: Path, library: Path) -> None:
        self._file = file
        self._library = library
        self.set(0)

    def set(self, seconds: float) -> None:
        """Set the offset from the machine's clock, in seconds; negative is behind."""
        replacement = self._file.with_suffix(".new")
        replacement.write_text(f"{seconds:+.0f}\n")
        replacement.rename(self._file)

    def environment(self) -> dict[str, str]:
        """Variables for a process."""
        return {
            "LD_PRELOAD": str(self._library),
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
        }


def library() -> Path | None:
    """The path of libfaketime, or None where it can't be used."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return None  # the wheel carries no other
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return file if file.exists() else None
