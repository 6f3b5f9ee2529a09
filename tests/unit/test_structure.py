"""Imports go one way: agents -> app -> models, and openwhisk -> app's pure parts and models."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ALLOWED = {
    "models": {"models"},
    "app": {"app", "models"},
    "agents": {"agents", "app", "models"},
    "openwhisk": {"openwhisk", "app", "models"},
}
EXCEPTIONS = {
    # Puts application and agents together.
    "app/__init__.py": {"agents"},
    # A command is a way in from outside, and this one runs the producing side.
    "app/commands/simulate.py": {"openwhisk", "dev"},
}
OURS = {*ALLOWED, "dev", "tests"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_one_way(package: str) -> None:
    for path in sorted((PROJECT / package).rglob("*.py")):
        name = str(path.relative_to(PROJECT))
        allowed = ALLOWED[package] | EXCEPTIONS.get(name, set())
        tops = {module.split(".")[0] for module in imported(path)} & OURS
        assert tops <= allowed, f"{name} imports {tops - allowed}"


def test_the_producing_side_does_not_start_the_application() -> None:
    for path in sorted((PROJECT / "openwhisk").rglob("*.py")):
        assert "app.application" not in set(imported(path)), path
