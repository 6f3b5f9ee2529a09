"""`docs/commands.schema.json`: a JSON Schema of what the commands write with `--json`."""

import inspect
import json
from typing import Any

import msgspec

from dev.generated.outputs import OUTPUTS, Output

_TITLE = "What the commands of the activation persister write with --json"
_DESCRIPTION = (
    "Under $defs there is one entry for each command, such as $defs/dead-letters-list. Each line "
    "of those that write lines is a document of its own; every other command writes one document."
)


def page() -> str:
    """The schema, as it should be."""
    types = [kind for output in OUTPUTS.values() for kind in output.types]
    schemas, parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    of_type = dict(zip(map(str, types), schemas, strict=True))
    commands = {
        name.replace(" ", "-"): _described(name, output, of_type)
        for name, output in OUTPUTS.items()
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        "description": _DESCRIPTION,
        "$defs": {**commands, **dict(sorted(parts.items()))},
    }
    return json.dumps(_evenly_indented(schema), indent=2) + "\n"


def _described(name: str, output: Output, of_type: dict[str, dict[str, Any]]) -> dict[str, Any]:
    many = "a line each" if output.lines else "one document"
    shapes = [of_type[str(kind)] for kind in output.types]
    shape = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    return {"description": f"persister {name} --json: {many}.", **shape}


def _evenly_indented(schema: Any) -> Any:
    """The same; descriptions come from docstrings, whose indentation Python keeps up to 3.12."""
    match schema:
        case dict():
            return {name: _evenly_indented(value) for name, value in schema.items()}
        case list():
            return [_evenly_indented(value) for value in schema]
        case str():
            return inspect.cleandoc(schema)
        case _:
            return schema
