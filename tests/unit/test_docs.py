"""Every setting has a description, and the links of the docs lead somewhere."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic_settings import BaseSettings

from app.settings import Settings
from dev.generated.docstrings import of_attributes
from openwhisk.gateway.settings import GatewaySettings

PROJECT = Path(__file__).parents[2]


KINDS = [*get_type_hints(Settings).values(), GatewaySettings]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_setting_is_described_where_it_is_defined(kind: type[BaseSettings]) -> None:
    assert [name for name in kind.model_fields if name not in of_attributes(kind)] == []


PAGES = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").rglob("*.md")),
]


def test_the_site_is_built_strictly() -> None:
    """With --quiet mkdocs counts no warning, and its own look at links is without effect."""
    recipe = (PROJECT / "Makefile").read_text(encoding="utf-8").partition("\ndocs:")[2]
    assert "mkdocs" in recipe.partition("\n\n")[0]
    assert "--quiet" not in recipe.partition("\n\n")[0]
    assert "strict: true" in (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = PROJECT / page
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", path.read_text(encoding="utf-8"))
    for target, anchor in links:
        linked = path.parent / target if target else path
        assert linked.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:agents|app|dev|models|openwhisk|tests)/[\w./*-]*)`", text)
    missing = [path for path in named if not any(PROJECT.glob(path.rstrip("/") + "*"))]
    assert missing == []


def anchors(page: Path) -> set[str]:
    """What a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_site_has_every_page() -> None:
    listed = re.findall(r": (\S+\.md)$", (PROJECT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (PROJECT / "docs").glob("*.md"))


REPORTS = sorted((PROJECT / "docs" / "upstream").glob("*.md"))


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.stem)
def test_a_report_for_upstream_can_be_filed_as_it_is(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert re.match(r"# .+\n\nSeen in \S+ \d.*Reported: .+ Worked around in \[", text)
    assert "*To see it:*" in text
    assert "*Suggested:*" in text
    listed = (PROJECT / "docs" / "upstream.md").read_text(encoding="utf-8")
    assert f"(upstream/{report.name})" in listed


def test_every_mend_of_a_library_has_a_report() -> None:
    mends = {file.name for file in (PROJECT / "app" / "kafka" / "patches").glob("[!_]*.py")}
    reported = re.findall(
        r"app/kafka/patches/(\w+\.py)", "".join(one.read_text(encoding="utf-8") for one in REPORTS)
    )
    # They work for others, which say what is mended.
    assert mends - {"unpacked_size.py", "unpacking.py"} == set(reported)
