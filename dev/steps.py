"""Installation steps that run once, wait for each other, and say what they do."""

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
"""Seconds after which a step that goes on says so."""

LONGEST_OUTPUT_SHOWN = 3000
"""Characters of a failed command's output, counted from its end."""


class SetupError(Exception):
    """Something could not be installed or started. The message says what, and what to do."""


def say(message: str) -> None:
    """Tell the person at the terminal; on stderr, so that a command's own output stays clean."""
    print(f"[dev] {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the only right to install something; whoever wants it too waits until this is done.

    Not reentrant: a second call for the same name waits for ever.
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
    """Run `build` unless it has already been finished for the same key.

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
    """Say every few seconds that it goes on, and how far it is."""
    began, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(SILENCE):
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
    """Whether the step of this stamp was finished for this key."""
    return stamp.exists() and stamp.read_text() == key


def command(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command of an installation step without showing its output.

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
