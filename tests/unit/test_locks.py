"""Every lock of the code is in the table of the page on concurrency, with its order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import heliosfs
from tests.sources import parsed

PACKAGE = Path(heliosfs.__file__).parent
PAGE = PACKAGE.parent / "docs/explanation/concurrency.md"
KINDS = {
    "threading": {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"},
    "trio": {"Lock", "StrictFIFOLock", "Condition", "Semaphore", "CapacityLimiter"},
    "": {"HandoffLock", "ReaderLock"},
}
"""By module; the last ones are ours.  Events are no locks, as nobody holds them."""

_ROW = re.compile(r"^\| `([\w.]+)` \| (–|\d+) \|", re.MULTILINE)


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _makes_lock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    module = _name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    return _name(node.func) in KINDS.get(module, ())


def _held_by(statement: ast.stmt) -> str:
    """The attribute that a lock is assigned to, or the table that it is put into."""
    if isinstance(statement, ast.Assign):
        return _name(statement.targets[0])
    if isinstance(statement, ast.AnnAssign):
        return _name(statement.target)
    for each in ast.walk(statement):
        if isinstance(each, ast.Attribute) and each.attr == "setdefault":
            return _name(each.value)
    return f"line {statement.lineno}"


def _locks(tree: ast.AST, scope: str = "") -> Iterator[str]:
    """The locks that are made, as Class.attribute, and the functions that call flock(2)."""
    for each in ast.iter_child_nodes(tree):
        if isinstance(each, ast.ClassDef):
            yield from _locks(each, f"{each.name}.")
            continue
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            calls = (node for node in ast.walk(each) if isinstance(node, ast.Call))
            if any(_name(call.func) == "flock" for call in calls):
                yield f"{scope}{each.name}"
        elif isinstance(each, ast.stmt) and not isinstance(each, (ast.If, ast.For, ast.Try)):
            parts: Sequence[ast.AST] = [each]
            if isinstance(each, (ast.With, ast.AsyncWith)):
                parts = each.items
            if any(_makes_lock(node) for part in parts for node in ast.walk(part)):
                yield scope + _held_by(each)
        yield from _locks(each, scope)


def test_every_lock_is_in_the_table() -> None:
    found = {lock for path in sorted(PACKAGE.rglob("*.py")) for lock in _locks(parsed(path))}
    rows = dict(_ROW.findall(PAGE.read_text()))
    assert found == set(rows)
    orders = [int(order) for order in rows.values() if order != "–"]
    assert orders == sorted(orders)


def test_nested_locks_are_taken_in_order() -> None:
    """The order is checked within a function: `with` inside `with`, and several in one."""
    orders = {
        name.rpartition(".")[2]: int(order)
        for name, order in _ROW.findall(PAGE.read_text())
        if order != "–"
    }
    seen = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for held, taken in _nested(parsed(path), orders, []):
            seen += 1
            assert orders[held] < orders[taken], f"{path.name}: {taken} within {held}"
    assert seen


def _nested(tree: ast.AST, orders: dict[str, int], held: list[str]) -> Iterator[tuple[str, str]]:
    for each in ast.iter_child_nodes(tree):
        now = held
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            now = []
        elif isinstance(each, (ast.With, ast.AsyncWith)):
            now = list(held)
            for item in each.items:
                name = _name(item.context_expr)
                if name in orders:
                    yield from ((other, name) for other in now)
                    now.append(name)
        yield from _nested(each, orders, now)
