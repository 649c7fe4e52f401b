"""Reference page of the Python client, made from its docstrings.

`python -m heliosfs.client.reference` prints docs/reference/python.md.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_INTRODUCTION = """\
# Python client

    from heliosfs import AsyncWorkspace, Workspace
    from heliosfs.client import async_clone, clone

A mounted workspace as an object. It speaks to the [control files](control-files.md), so that it works wherever the mount is
visible, in a container for example, and imports nothing that a mount needs. [How to use it](../how-to/python.md)
has programs.

A refused call changes nothing, and raises a class of [`heliosfs.errors`](errors.md) with the errno of the control file.

<!-- Made by `python -m heliosfs.client.reference` from the docstrings. -->
"""

_OBJECTS = (
    ("view", ("ViewClient",)),
    ("remotes", ("RemoteClient",)),
    ("workspace", ("Workspace", "LiveBranch", "RunningExperiment")),
    ("requests", ("UnmergedPaths",)),
    ("asynchronous", ("AsyncWorkspace", "AsyncLiveBranch", "AsyncRunningExperiment")),
)
"""Modules, and their classes that users meet, in the order of the page."""

_WIDTH = 100
_BETWEEN = re.compile(r", (?![^\[]*\])")
"""Comma between two arguments, not one within brackets."""


def page() -> str:
    """Return the page in Markdown."""
    parts = [_INTRODUCTION]
    for module, names in _OBJECTS:
        classes = _classes(module)
        parts += [_class(classes[name]) for name in names]
    parts.append("## Functions\n")
    parts += [_function(each) for each in _functions("cloning")]
    parts += [
        "## Values",
        "",
        "Frozen dataclasses, named as the fields of the [replies](json.md).",
        "",
    ]
    parts += [_value(each) for each in _classes("values").values()]
    return "\n".join(parts)


def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "main":
            yield node


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    before = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    assert node.returns is not None
    signature = _signature(before + node.name, node.args, f" -> {ast.unparse(node.returns)}")
    return f"### {node.name}\n\n{signature}\n\n{_text(node)}\n"


def _class(node: ast.ClassDef) -> str:
    bases = ", ".join(map(ast.unparse, node.bases))
    lines = [f"## {node.name}", ""]
    if bases and bases != "Conflicted":
        lines += [f"All that [`{bases}`](#{bases.lower()}) has, and more.", ""]
    lines += [_text(node), ""]
    for each in node.body:
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_public(each):
            lines += [_method(node, each), "", _text(each), ""]
    threaded = [f"`{name}`" for name in _coroutines(node)]
    if threaded:
        lines += [f"The same as those without `Async`, as coroutines: {', '.join(threaded)}.", ""]
    return "\n".join(lines)


def _is_public(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    # Users call the classes that need no argument.
    return not node.name.startswith("_") or (node.name == "__init__" and bool(node.args.defaults))


def _coroutines(node: ast.ClassDef) -> Iterator[str]:
    """Yield the methods that are made from synchronous ones."""
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            yield each.targets[0].id


def _method(owner: ast.ClassDef, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    kinds = [ast.unparse(each) for each in node.decorator_list]
    if "property" in kinds:
        assert node.returns is not None
        return f"### {owner.name}.{node.name}\n\n    {node.name}: {ast.unparse(node.returns)}"
    if node.name == "__init__":
        return f"### {owner.name}()\n\n{_signature(owner.name, node.args)}"
    before = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    assert node.returns is not None
    result = f" -> {ast.unparse(node.returns)}"
    return f"### {owner.name}.{node.name}\n\n{_signature(before + node.name, node.args, result)}"


def _signature(name: str, arguments: ast.arguments, result: str = "") -> str:
    """Return a call as code, an argument to a line if it is long."""
    text = ast.unparse(arguments).removeprefix("self").removeprefix(", ").removeprefix("/, ")
    text = text.replace("=", " = ")
    line = f"    {name}({text}){result}"
    if len(line) <= _WIDTH:
        return line
    parts = _BETWEEN.sub(",\n        ", text)
    return f"    {name}(\n        {parts},\n    ){result}"


def _value(node: ast.ClassDef) -> str:
    lines = [f"### {node.name}", "", _text(node), "", "| field | type | |", "|---|---|---|"]
    for each, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            said = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                said = " ".join(str(after.value.value).split())
            kind = ast.unparse(each.annotation).replace("|", "\\|")
            lines.append(f"| `{each.target.id}` | `{kind}` | {said} |")
    return "\n".join([*lines, ""])


def _text(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return ast.get_docstring(node) or ""


if __name__ == "__main__":
    sys.stdout.write(page())
