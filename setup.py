"""Has the package ask for exactly what the lock pins: it is installed as it was tested.

Everything else about the package is in `pyproject.toml`.
"""

import re
from pathlib import Path

from setuptools import setup


def pinned(lock: str) -> list[str]:
    """Each package of a lock with its version and the systems that it is for; hashes left out."""
    text = Path(__file__).with_name(lock).read_text(encoding="utf-8")
    return [entry.strip() for entry in re.findall(r"^[\w.-]+==[^\\\n]+", text, re.MULTILINE)]


always = pinned("requirements.lock")
traced = [entry for entry in pinned("requirements-tracing.lock") if entry not in always]

setup(install_requires=always, extras_require={"tracing": traced})
