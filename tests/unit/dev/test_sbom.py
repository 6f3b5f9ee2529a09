"""The list of what an image holds."""

import re

from dev.sbom import LOCK, document, packages

SMALL = """# Made by `make lock`.
aiocouch==4.0.1 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:{c}
""".format(a="a" * 64, b="b" * 64, c="c" * 64)


def test_every_package_is_there_with_its_hashes_and_where_it_is_installed() -> None:
    one, other = packages(SMALL)
    assert (one.name, one.version, one.only, one.hashes) == (
        "aiocouch",
        "4.0.1",
        "",
        ["a" * 64, "b" * 64],
    )
    assert (other.only, other.hashes) == ("sys_platform == 'win32'", ["c" * 64])


def test_the_lock_of_the_project_is_listed_whole() -> None:
    lock = LOCK.read_text(encoding="utf-8")
    made = document(lock)
    pinned = re.findall(r"(?m)^([A-Za-z0-9._-]+)==", lock)
    assert [one["name"] for one in made["components"]] == pinned
    assert all(one["hashes"] for one in made["components"])
    assert made == document(lock)
    assert made["serialNumber"] != document(lock + "\n")["serialNumber"]
