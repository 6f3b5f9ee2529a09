"""HTML from templates, every value escaped and printable; and the files that the pages need."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from app.monitoring.page import wording
from app.process.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

_KINDS = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
}

STATIC = "/static/"


@dataclass(frozen=True)
class StaticFile:
    """A file that a page needs, and its type."""

    content: bytes
    kind: str

    @property
    def version(self) -> str:
        """Changes with its content, so that browsers may keep it."""
        return hashlib.sha256(self.content).hexdigest()[:12]


@cache
def static_files() -> Mapping[str, StaticFile]:
    """The files by path; no other file is ever read for a request."""
    folder = files("app.monitoring.page") / "static"
    return {
        STATIC + one.name: StaticFile(one.read_bytes(), _KINDS[one.name.rpartition(".")[2]])
        for one in folder.iterdir()
    }


def render(template: str, **values: object) -> str:
    """Render a page.

    Args:
        template: the name of its template file.
        values: the values that it uses; using any other is an error.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> "Environment":
    # Imported when a page is first requested, because it takes a twentieth of a worker's start.
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("app.monitoring.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": wording.duration,
        "delay": wording.delay,
        "number": wording.number,
        "rate": wording.rate,
        "moment": wording.moment,
        "iso": wording.iso,
        "percent": wording.percent,
        "plural": wording.plural,
        "prose": _prose,
    }
    environment.globals["static"] = _link
    return environment


def _shown(value: object) -> object:
    # Markup is a str as well, and comes from the templates themselves.
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, wording.THIN_SPACE)
    return value


def _prose(text: str) -> Markup:
    """A sentence with commands and paths in back quotes, which become `code` elements."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # an unclosed quote means itself
        return escape(printable(text))
    marked = [
        f"<code>{escape(printable(piece))}</code>" if odd % 2 else str(escape(printable(piece)))
        for odd, piece in enumerate(pieces)
    ]
    return Markup("".join(marked))  # noqa: S704 - escaped above


def _link(name: str) -> str:
    path = STATIC + name
    return f"{path}?{static_files()[path].version}"
