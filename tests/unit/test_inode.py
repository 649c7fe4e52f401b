"""What the kernel knows of a node is noted in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import heliosfs

PACKAGE = Path(heliosfs.__file__).parent
NOTES = {"lookups", "opens", "attr", "kept", "is_listing_stale"}
"""Attributes that say what the kernel has been told, keeps and refers to."""
OWNERS = {"workspace/inode.py", "workspace/node.py"}


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
        and path.relative_to(PACKAGE).parts[0] not in ("repo", "store", "objects")
        for line, name in _written(ast.parse(path.read_text()))
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
        and any(
            isinstance(node, ast.Name) and node.id == "Any"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert found == []
