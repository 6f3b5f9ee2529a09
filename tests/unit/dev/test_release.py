"""What is still to do before a release, its notes and its checksums."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from dev import changelog
from dev.release import Checkout, checked_out, checksums, notes, obstacles
from dev.steps import SetupError

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
    assert list(obstacles(project, "0.3.0", Checkout())) == []


def test_what_is_not_committed_is_in_the_way(project: Path) -> None:
    (line,) = obstacles(project, "0.3.0", Checkout(changed=["app/main.py"]))
    assert line == "not committed: app/main.py"
    (line,) = obstacles(project, "0.3.0", Checkout(changed=[f"changes/{n}.md" for n in range(60)]))
    assert line.endswith("changes/4.md and 55 more")


def test_so_is_the_tag_of_another_version_or_on_another_commit(project: Path) -> None:
    assert list(obstacles(project, "0.3.0", Checkout(tags=["v0.3.0"]))) == []
    (line,) = obstacles(project, "0.3.0", Checkout(tags=["v0.4.0"]))
    assert line == "this commit has the tag v0.4.0, and app/version.py says 0.3.0"
    (line,) = obstacles(project, "0.3.0", Checkout(released=True))
    assert "the tag v0.3.0 is on another commit" in line


def test_git_is_asked_for_changes_and_tags(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        named = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *named, *arguments], cwd=tmp_path, check=True, capture_output=True)  # noqa: S603, S607

    with pytest.raises(SetupError, match="from a git checkout"):
        checked_out(tmp_path / "..", "0.3.0")
    git("init")
    git("commit", "--allow-empty", "--message", "one")
    assert checked_out(tmp_path, "0.3.0") == Checkout([], [])
    git("tag", "v0.3.0")
    assert checked_out(tmp_path, "0.3.0") == Checkout([], ["v0.3.0"])
    git("commit", "--allow-empty", "--message", "two")
    (tmp_path / "new").touch()
    assert checked_out(tmp_path, "0.3.0") == Checkout(["new"], [], released=True)


def test_so_are_fragments_that_are_not_in_the_changelog_yet(project: Path) -> None:
    (project / "changes" / "17.added.md").touch()
    (line,) = obstacles(project, "0.3.0", Checkout())
    assert "1 fragment in" in line
    assert "make changelog" in line


def test_so_are_a_changelog_and_a_chart_that_know_nothing_of_the_version(project: Path) -> None:
    told, chart = obstacles(project, "0.4.0", Checkout())
    assert "nothing about 0.4.0" in told
    assert "0.3.0, 0.3.0, not 0.4.0" in chart


def test_a_changelog_is_made_once_of_something_and_for_the_version_of_the_chart(
    project: Path,
) -> None:
    told, nothing = changelog.obstacles(project, "0.3.0")
    assert "CHANGELOG.md has 0.3.0 already" in told
    assert "git restore" in told
    assert "no fragment" in nothing
    (project / "changes" / "17.added.md").touch()
    (chart,) = changelog.obstacles(project, "0.4.0")
    assert "not 0.4.0" in chart


def test_notes_are_those_of_one_version() -> None:
    assert notes(CHANGELOG, "0.3.0") == "### Added\n\n- A thing."
    assert notes(CHANGELOG, "0.2.0") == "The second."
    assert notes(CHANGELOG, "0.2") == ""


def test_checksums_are_those_that_sha256sum_reads(tmp_path: Path) -> None:
    file = tmp_path / "a.whl"
    file.write_bytes(b"wheel")
    assert checksums([file]) == f"{hashlib.sha256(b'wheel').hexdigest()}  a.whl\n"
