"""The README names every setting, with its default."""

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
    assert set(documented("README.md", PREFIX)) == {variable for variable, _ in settings()}


@pytest.mark.parametrize("variable,default", settings())
def test_its_default_is_the_one_in_the_code(variable: str, default: Any) -> None:
    shown = documented("README.md", PREFIX)[variable]
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


@pytest.mark.parametrize("page", ["README.md", *sorted(map(str, (PROJECT / "docs").glob("*.md")))])
def test_links_lead_somewhere(page: str) -> None:
    path = PROJECT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{page}: {target}"
