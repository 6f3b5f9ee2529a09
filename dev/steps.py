"""Installation steps that run once, exclude each other, and report progress."""

import contextlib
import fcntl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dev import paths

SILENCE = 5.0
"""Seconds after which a step that goes on says so; then after twice as many, and so on."""

LONGEST_SILENCE = 60.0
"""Seconds."""

LONGEST_OUTPUT_SHOWN = 3000
"""Characters of a failed command's output, counted from its end."""


class SetupError(Exception):
    """Something couldn't be installed or started; the message says what, and what to do."""


def say(message: str) -> None:
    """Print to stderr, which keeps a command's own output clean."""
    print(f"[dev] {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock for installing something; other processes wait for it.

    Not reentrant: a nested call for the same name deadlocks.
    """
    paths.HOME.mkdir(parents=True, exist_ok=True)
    with (paths.HOME / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another set-up of {name} to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(
    name: str,
    key: str,
    stamp: Path,
    build: Callable[[], None],
    progress: Callable[[], str] | None = None,
) -> None:
    """Run `build` unless it has already completed for the same key.

    Args:
        name: What is built, for the person who waits.
        key: Everything the result depends on, as text; another key builds again.
        stamp: The file that remembers the key. It is written last, so a broken build leaves none.
        build: Makes it, from whatever an earlier attempt left behind.
        progress: How far it is, for a person: "12 of 60 jars".
    """
    if is_done(key, stamp):
        return
    stamp.unlink(missing_ok=True)
    say(f"installing {name} ...")
    began = time.monotonic()
    with _signs_of_life(name, progress):
        build()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    say(f"installed {name} in {time.monotonic() - began:.1f} s")


@contextlib.contextmanager
def _signs_of_life(name: str, progress: Callable[[], str] | None) -> Iterator[None]:
    """Report progress, first after a few seconds and then less and less often."""
    began, done = time.monotonic(), threading.Event()

    def tell() -> None:
        silence = SILENCE
        while not done.wait(silence):
            silence = min(2 * silence, LONGEST_SILENCE)
            far = f": {progress()}" if progress else ""
            say(f"still installing {name}{far} ({time.monotonic() - began:.0f} s)")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def is_done(key: str, stamp: Path) -> bool:
    """Whether the step with this stamp has completed for this key."""
    return stamp.exists() and stamp.read_text() == key


def command(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command, showing its output only if it fails.

    Raises:
        SetupError: It failed; the message carries the end of its output.
    """
    done = subprocess.run(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
        check=False,
    )
    if done.returncode:
        line = " ".join(map(str, arguments))
        raise SetupError(
            f"exit code {done.returncode} from: {line}\n{done.stdout[-LONGEST_OUTPUT_SHOWN:]}"
        )
