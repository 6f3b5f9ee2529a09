"""The docs name every setting, with its default, and their links lead somewhere."""

import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import SecretStr

from app.settings import PREFIX, Settings
from openwhisk.gateway.settings import PREFIX as GATEWAY_PREFIX
from openwhisk.gateway.settings import GatewaySettings

PROJECT = Path(__file__).parents[2]


def settings() -> list[tuple[str, Any]]:
    """Variable and default of every setting."""
    return [
        (field.alias or PREFIX + name.upper(), field.default)
        for group in get_type_hints(Settings).values()
        for name, field in group.model_fields.items()
    ]


def documented(page: str, prefix: str) -> dict[str, str]:
    """Variables in the tables of a page, and the cell behind them."""
    found = {}
    for line in (PROJECT / page).read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if len(cells) > 3 and prefix in cells[1]:
            defaults = cells[2].split(",") if cells[1].count("`") > 2 else [cells[2]]
            names = re.findall(rf"{prefix}[A-Z_]+", cells[1])
            for position, name in enumerate(names):
                found[name] = defaults[min(position, len(defaults) - 1)].strip().strip("`")
    return found


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert set(documented("docs/settings.md", PREFIX)) == {variable for variable, _ in settings()}


@pytest.mark.parametrize("variable,default", settings())
def test_its_default_is_the_one_in_the_code(variable: str, default: Any) -> None:
    shown = documented("docs/settings.md", PREFIX)[variable]
    match default:
        case bool():
            assert shown == str(default).lower()
        case int() | float():
            assert float(shown) == default
        case None | SecretStr():
            assert shown in {"none", "the system's"}
        case "" | frozenset():
            assert shown == "empty"
        case _:
            assert shown == str(default)


def test_every_setting_of_the_gateway_is_documented() -> None:
    variables = {GATEWAY_PREFIX + name.upper() for name in GatewaySettings.model_fields}
    assert set(documented("docs/gateway.md", GATEWAY_PREFIX)) == variables


PAGES = [
    *("README.md", "CONTRIBUTING.md", "SECURITY.md"),
    *sorted(str(page.relative_to(PROJECT)) for page in (PROJECT / "docs").glob("*.md")),
]


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
