"""Reads what stands under the attributes of a class."""

import ast
import inspect
import textwrap


def of_attributes(described: type) -> dict[str, str]:
    """The docstring of each attribute that the class itself declares and describes, as one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for the type checker
    found = {}
    for declared, below in zip(body.body, body.body[1:], strict=False):
        match declared, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
            case _:
                pass
    return found
