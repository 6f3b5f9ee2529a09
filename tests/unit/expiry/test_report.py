"""What is told of a run."""

from pathlib import Path

from app.expiry.removal import Method, Progress
from app.expiry.report import as_json, as_text, write_metrics

CUTOFF = 1_700_000_000_000


def test_a_run_is_told_in_a_sentence() -> None:
    progress = Progress(CUTOFF, 1200, Method.PURGE, removed=1199, changed=1, oldest=CUTOFF - 1000)
    text = as_text(progress, dry_run=False)
    assert text.startswith("1,200 activations began before 2023-11-14T22:13:20Z")
    assert "1,199 activations removed (purge)" in text
    assert "1 had been changed" in text


def test_nothing_to_remove_is_said() -> None:
    assert as_text(Progress(CUTOFF), dry_run=False).startswith("Nothing to remove")


def test_a_dry_run_says_that_nothing_was_removed() -> None:
    assert "Nothing was removed" in as_text(Progress(CUTOFF, 1, oldest=1), dry_run=True)


def test_programs_get_the_same() -> None:
    told = as_json(Progress(CUTOFF, 2, Method.DELETE, removed=2, oldest=CUTOFF), dry_run=False)
    assert told == {
        "before": "2023-11-14T22:13:20Z",
        "found": 2,
        "oldest": "2023-11-14T22:13:20Z",
        "method": "delete",
        "removed": 2,
        "changed": 0,
        "dry_run": False,
    }


def test_metrics_are_written_for_a_textfile_collector(tmp_path: Path) -> None:
    path = tmp_path / "retention.prom"
    write_metrics(path, Progress(CUTOFF, 3, Method.PURGE, removed=2, changed=1), ended=12.0)
    lines = path.read_text().splitlines()
    assert "persister_expiry_removed 2.0" in lines
    assert "persister_expiry_last_success_timestamp_seconds 12.0" in lines
