"""Check that the kernel's knowledge of a node is noted in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import heliosfs
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
NOTES = {"lookups", "opens", "attr", "kept", "is_listing_stale"}
"""Attributes that say what the kernel has been told, keeps and refers to."""
OWNERS = {"workspace/inode.py", "workspace/nodes.py"}


def _written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        for target in targets:
            for part in ast.walk(target):
                if isinstance(part, ast.Attribute) and part.attr in NOTES:
                    yield part.lineno, part.attr


def test_nobody_else_writes_what_the_kernel_knows() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line} writes {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in OWNERS
        # Below the tree nobody knows nodes; an attribute of such a name is another thing there.
        and path.relative_to(PACKAGE).parts[0] not in ("remote", "repo", "store", "objects")
        for line, name in _written(parsed(path))
    ]
    assert found == []


def test_what_the_kernel_sees_has_types() -> None:
    """No `Any` where nodes are handled: the busiest seam is checked by mypy."""
    allowed = {"daemon/rare_requests.py"}  # pyfuse3 has no types for these arguments
    seams = [*(PACKAGE / "vfs").glob("*.py"), *(PACKAGE / "daemon").glob("*_requests.py")]
    seams.append(PACKAGE / "fuse" / "attributes.py")
    found = [
        str(path.relative_to(PACKAGE))
        for path in seams
        if str(path.relative_to(PACKAGE)) not in allowed
        and any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(parsed(path)))
    ]
    assert found == []


def _letting_go(tree: ast.AST, scope: str = "") -> Iterator[str]:
    """Yield the functions that take something out of a table of nodes."""
    for each in ast.iter_child_nodes(tree):
        inner = scope
        if isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f"{scope}.{each.name}".lstrip(".")
        text = ast.unparse(each) if isinstance(each, (ast.Call, ast.Delete)) else ""
        if "nodes.pop(" in text or (text.startswith("del ") and "nodes[" in text):
            yield inner
        else:
            yield from _letting_go(each, inner)


def test_few_let_a_node_go() -> None:
    found = {place for path in sorted(PACKAGE.rglob("*.py")) for place in _letting_go(parsed(path))}
    assert found == {
        "FileSystem.reclaim",
        "_reclaim",
        "Workspace.release",
        "discard",
        "unload",
    }
