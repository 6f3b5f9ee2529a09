import sysconfig
from pathlib import Path

import pytest

from dev.internals import LEANED_ON, NotThere, changes, known_version, piece

NEW = "class A:\n    @property\n    def a(self):\n        return 2\n"
OLD = NEW.replace("2", "1") + "\n    def b(self):\n        pass\n"


def package(folder: Path, source: str) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "lib/__init__.py").write_text("")
    (folder / "lib/module.py").write_text(source)
    return folder


def test_what_changed_is_shown_with_what_leans_on_it(tmp_path: Path) -> None:
    old, new = package(tmp_path / "old", OLD), package(tmp_path / "new", NEW)
    shown = list(changes(old, new, {"lib.module:A.a": "ours.py", "lib.module:A.b": "other.py"}))
    assert "lib.module:A.a has changed. ours.py relies on it." in shown[0]
    assert "-        return 1" in shown[0]
    assert "+        return 2" in shown[0]
    assert shown[1] == "lib.module:A.b is gone. other.py relies on it."
    assert list(changes(old, old, {"lib.module:A": "ours.py"})) == []


def test_a_name_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        piece(package(tmp_path, OLD), "lib.module:B")


def test_everything_listed_is_in_the_installed_libraries() -> None:
    installed = Path(sysconfig.get_paths()["purelib"])
    for names in LEANED_ON.values():
        for name in names:
            assert piece(installed, name)


@pytest.mark.parametrize("package", ["faust-streaming", "mode-streaming", "aiokafka"])
def test_the_known_versions_are_those_of_the_requirements(package: str) -> None:
    assert known_version(package).startswith(f"{package}==")
