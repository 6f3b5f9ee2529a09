"""What a wheel and an sdist must hold, and nothing else."""

import tarfile
import zipfile
from pathlib import Path

from dev.package import differences

CODE = {"app/main.py", "app/page/static/page.css"}


def wheel(folder: Path, names: set[str]) -> Path:
    file = folder / "persister-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file


def test_a_wheel_with_the_code_and_its_own_papers_is_as_it_should_be(tmp_path: Path) -> None:
    built = wheel(tmp_path, {*CODE, "persister-1.0.dist-info/METADATA"})
    assert list(differences(built, CODE)) == []


def test_a_wheel_without_a_file_that_the_code_needs_is_not(tmp_path: Path) -> None:
    built = wheel(tmp_path, {"app/main.py"})
    assert list(differences(built, CODE)) == [f"{built.name} lacks app/page/static/page.css"]


def test_nor_is_one_with_tests_or_a_file_that_was_deleted_since(tmp_path: Path) -> None:
    built = wheel(tmp_path, {*CODE, "tests/unit/test_main.py", "app/deleted.py"})
    assert list(differences(built, CODE)) == [
        f"{built.name} has app/deleted.py, which does not belong there",
        f"{built.name} has tests/unit/test_main.py, which does not belong there",
    ]


def test_an_sdist_is_looked_at_below_its_folder(tmp_path: Path) -> None:
    built = tmp_path / "persister-1.0.tar.gz"
    code = tmp_path / "main.py"
    code.touch()
    with tarfile.open(built, "w:gz") as archive:
        for name in ("app/main.py", "tests/test_main.py", "setup.py"):
            archive.add(code, f"persister-1.0/{name}")
    found = list(differences(built, CODE))
    assert f"{built.name} lacks app/page/static/page.css" in found
    assert f"{built.name} lacks requirements.lock" in found
    assert f"{built.name} has tests/test_main.py, which does not belong there" in found
    assert not [line for line in found if "main.py" in line and "tests" not in line]
