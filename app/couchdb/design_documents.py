"""The design documents through which OpenWhisk and its tools read activations.

They lie in `design/<name>/views/<view>/{map,reduce}.js` and do what OpenWhisk's own installer
puts into an activations database; written for ES5, the oldest engine that CouchDB 3 ships with.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


@cache
def design_documents() -> dict[str, dict[str, Any]]:
    """The fields of every design document, by its name without `_design/`."""
    return {
        folder.name: {"language": "javascript", "views": _views(folder / "views")}
        for folder in sorted(files("app.couchdb").joinpath("design").iterdir(), key=_name)
        if folder.is_dir()
    }


def wanted(there: Iterable[str]) -> list[str]:
    """Which design documents to create in a database.

    A design document that exists in another version is left alone: it belongs to another version of
    OpenWhisk, whose readers use only that one, and CouchDB would maintain an index that nobody
    reads.

    Args:
        there: the ids of all design documents in the database.
    """
    bases = {_base(id_.removeprefix("_design/")): id_.removeprefix("_design/") for id_ in there}
    ours = design_documents()
    if any(base in bases and bases[base] not in ours for base in map(_base, ours)):
        return []
    return [name for name in ours if _base(name) not in bases]


def _base(name: str) -> str:
    """The name without its version: `whisks` of `whisks.v2.1.0`."""
    return name.partition(".")[0]


def _views(folder: Traversable) -> dict[str, dict[str, str]]:
    return {
        view.name: {
            source.name.removesuffix(".js"): source.read_text(encoding="utf-8").strip()
            for source in sorted(view.iterdir(), key=_name)
        }
        for view in sorted(folder.iterdir(), key=_name)
    }


def _name(entry: Traversable) -> str:
    return entry.name
