"""Writes everything that is made from the code: `python -m dev.generated`."""

from dev.generated import GENERATED

for file, content in GENERATED.items():
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content(), encoding="utf-8")
