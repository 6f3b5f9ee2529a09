"""What is made from the code is as the code says."""

from pathlib import Path

import pytest

from dev import paths
from dev.generated import GENERATED


@pytest.mark.parametrize("file", GENERATED, ids=lambda file: str(file.relative_to(paths.PROJECT)))
def test_what_is_made_from_the_code_is_current(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == GENERATED[file](), "run: make generated"
