"""What hosted CI may do, and what it runs there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.y*ml"))


def jobs(workflow: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_an_action_is_that_of_a_commit(self, workflow: Path) -> None:
        used = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
        assert used
        assert [one for one in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", one)] == []

    def test_no_token_is_left_behind_for_what_runs_later(self, workflow: Path) -> None:
        for job in jobs(workflow):
            for step in job["steps"]:
                if "checkout" in step.get("uses", ""):
                    assert step["with"]["persist-credentials"] is False

    def test_who_may_write_runs_nothing_of_the_checkout(self, workflow: Path) -> None:
        text = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        assert text["permissions"] == {"contents": "read"}
        for job in jobs(workflow):
            if job.get("permissions"):
                assert not [one for one in job["steps"] if "checkout" in one.get("uses", "")]
