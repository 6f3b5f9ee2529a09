"""Has the package ask for exactly what the lock pins, and hold only what the tree holds.

It is installed as it was tested, without modules that an earlier build left in `build/`.
Everything else about the package is in `pyproject.toml`.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


def pinned(lock: str) -> list[str]:
    """Each package of a lock with its version and the systems that it is for; hashes left out."""
    text = Path(__file__).with_name(lock).read_text(encoding="utf-8")
    return [entry.strip() for entry in re.findall(r"^[\w.-]+==[^\\\n]+", text, re.MULTILINE)]


class FreshBuild(build_py):
    """Copies the packages into an empty folder.

    setuptools keeps `build/lib` and packs whatever it finds there: a module that was deleted since
    the last `pip install .` would be installed again.
    """

    def run(self) -> None:
        """Forget what earlier builds copied, then copy."""
        if not self.editable_mode:
            for top in {name.partition(".")[0] for name in self.packages or ()}:
                shutil.rmtree(Path(self.build_lib, top), ignore_errors=True)
        super().run()


always = pinned("requirements.lock")
traced = [entry for entry in pinned("requirements-tracing.lock") if entry not in always]

setup(
    cmdclass={"build_py": FreshBuild},
    install_requires=always,
    extras_require={"tracing": traced},
)
