import re

from dev.kafka.jars import LOCK


def test_every_jar_is_pinned_by_version_and_hash() -> None:
    lines = LOCK.read_text().splitlines()
    assert len(lines) > 40
    for line in lines:
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ sha256:[0-9a-f]{64}", line), line
    assert len({line.rsplit(":", 2)[0] for line in lines}) == len(lines)
