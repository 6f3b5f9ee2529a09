"""What is still to do before a release, its notes and its checksums."""

import hashlib
from pathlib import Path

import pytest

from dev.release import checksums, notes, obstacles

CHANGELOG = """# Changelog

## 0.3.0 (2026-12-01)

### Added

- A thing.

## 0.2.0

The second.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout from which 0.3.0 may be released."""
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / "README.md").touch()
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    chart = tmp_path / "deploy" / "chart"
    chart.mkdir(parents=True)
    (chart / "Chart.yaml").write_text('apiVersion: v2\nversion: 0.3.0\nappVersion: "0.3.0"\n')
    return tmp_path


def test_nothing_is_in_the_way_of_what_is_committed_and_told(project: Path) -> None:
    assert list(obstacles(project, "0.3.0", [])) == []


def test_what_is_not_committed_is_in_the_way(project: Path) -> None:
    assert list(obstacles(project, "0.3.0", ["app/main.py"])) == ["not committed: app/main.py"]


def test_so_are_fragments_that_are_not_in_the_changelog_yet(project: Path) -> None:
    (project / "changes" / "17.added.md").touch()
    (line,) = obstacles(project, "0.3.0", [])
    assert "1 fragments" in line
    assert "make changelog" in line


def test_so_are_a_changelog_and_a_chart_that_know_nothing_of_the_version(project: Path) -> None:
    changelog, chart = obstacles(project, "0.4.0", [])
    assert "nothing about 0.4.0" in changelog
    assert "0.3.0, 0.3.0, not 0.4.0" in chart


def test_notes_are_those_of_one_version() -> None:
    assert notes(CHANGELOG, "0.3.0") == "### Added\n\n- A thing."
    assert notes(CHANGELOG, "0.2.0") == "The second."
    assert notes(CHANGELOG, "0.2") == ""


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    file = tmp_path / "a.whl"
    file.write_bytes(b"wheel")
    assert checksums([file]) == f"{hashlib.sha256(b'wheel').hexdigest()}  a.whl\n"
