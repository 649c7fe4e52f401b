"""The text of a `helios.yaml`: finding the value and line of each key, and editing it.

Edits change the characters of the one value that is meant, found by where the parser saw it;
all else, comments and layout included, stays as the user wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from heliosfs.config.schema import SECTIONS, SHORT, canonical, find_key
from heliosfs.config.values import Value
from heliosfs.errors import UsageError

Node: TypeAlias = Any
"""A node of the parser's tree: its own types leave out the attributes that every kind has."""

DOCUMENT_MAX_BYTES = 64 * 1024
_INDENT = 2
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NULLS = ("", "~", "null", "Null", "NULL")


class Assignment(NamedTuple):
    """Value of one key in a file, and its place there."""

    value: Value
    line: int
    """Line number, counted from 1."""


class _Leaf(NamedTuple):
    path: str
    name: Node
    value: Node


def parse(text: str, source: str) -> dict[str, Assignment]:
    """Return the values in a text by canonical path.  UsageError names `source`, line and key."""
    found: dict[str, Assignment] = {}
    for leaf in _leaves(_compose(text, source), "", source):
        line = leaf.name.start_mark.line + 1
        path = canonical(leaf.path)
        if path in found:
            raise _error(source, line, f"{path}: given twice, first in line {found[path].line}")
        try:
            value = find_key(path).type.parse(leaf.value.value)
        except ValueError as error:
            raise _error(source, line, f"{leaf.path}: {error}") from error
        except UsageError as error:
            raise _error(source, line, str(error)) from error
        found[path] = Assignment(value, line)
    return found


def assign(text: str, path: str, value: str, source: str) -> str:
    """Return the text with a value, as the key's type shows it, set for a canonical path.

    Raise UsageError when the text is written in a way that cannot be edited so.
    """
    before = parse(text, source)
    edited = _assigned(text, path, _scalar(value), source)
    _check(before, edited, path, source)
    return edited


def remove(text: str, path: str, source: str) -> str:
    """Return the text without the value of a canonical path, and without an empty section."""
    before = parse(text, source)
    root = _compose(text, source)
    leaf = next(leaf for leaf in _leaves(root, "", source) if canonical(leaf.path) == path)
    lines = text.splitlines(keepends=True)
    first, last = _extent(root, leaf)
    edited = "".join(lines[:first] + lines[last + 1 :])
    _check(before, edited, path, source)
    return edited


def _compose(text: str, source: str) -> Node:
    """Return the parser's tree of the text; None if it holds nothing but comments."""
    if len(text) > DOCUMENT_MAX_BYTES:
        raise UsageError(f"{source}: longer than {DOCUMENT_MAX_BYTES // 1024} KiB")
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        return None
    # Parsing is rare, and the import takes 20 ms.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root: Node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        raise _error(source, mark.line + 1 if mark else 1, f"not YAML: {problem}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not YAML: {str(error).splitlines()[0]}") from error
    return root


def _leaves(node: Node, prefix: str, source: str) -> Iterator[_Leaf]:
    if node is None or (not prefix and _is_null(node)):
        return
    if node.id != "mapping":
        raise _error(source, node.start_mark.line + 1, "a mapping of keys is expected")
    for name, value in node.value:
        line = name.start_mark.line + 1
        path = f"{prefix}{name.value}" if name.id == "scalar" else ""
        if not path or "." in name.value:
            raise _error(
                source, line, f"{path or 'a key'}: nest the key in its section, without dots"
            )
        if path in SECTIONS:
            if value.id == "mapping":
                yield from _leaves(value, f"{path}.", source)
                continue
            if value.id == "scalar" and _is_null(value):
                continue
            if path not in SHORT:
                raise _error(source, line, f"{path}: takes keys below it, not a value")
        if value.id != "scalar":
            _check_known(path, source, line)
            raise _error(source, line, f"{path}: takes one value")
        if _is_null(value):
            _check_known(path, source, line)
            raise _error(source, line, f"{path}: has no value")
        yield _Leaf(path, name, value)


def _check_known(path: str, source: str, line: int) -> None:
    try:
        find_key(path)
    except UsageError as error:
        raise _error(source, line, str(error)) from error


def _assigned(text: str, path: str, value: str, source: str) -> str:
    """Return the edited text, without checking that it is still right."""
    root = _compose(text, source)
    for leaf in _leaves(root, "", source):
        if canonical(leaf.path) == path:
            return _splice(text, leaf.value, value)
    if root is None or _is_null(root):
        text = text if root is None else _splice(text, root, "")
        return f"{text}{_newline(text)}{_nested(path.split('.'), value, 0)}"
    parent, rest = _deepest(root, path.split("."))
    if parent.id == "scalar":
        if not _is_null(parent):
            # A short form makes room for keys beside it.
            section = path.rpartition(".")[0]
            long = SHORT[section].rpartition(".")[2]
            opened = f"\n{' ' * _INDENT}{long}: {parent.value}"
            at = parent.start_mark.index
            text = f"{text[:at].rstrip(' ')}{opened}{text[parent.end_mark.index :]}"
            return _assigned(text, path, value, source)
        column = len(path.split(".")) - len(rest)
        return _insert(text, parent.end_mark.line, _nested(rest, value, column * _INDENT))
    if parent.flow_style:
        at = parent.start_mark.index + 1
        comma = ", " if parent.value else ""
        inner = ": {".join(rest) + f": {value}" + "}" * (len(rest) - 1)
        return f"{text[:at]}{inner}{comma}{text[at:]}"
    column = parent.value[0][0].start_mark.column
    return _insert(text, _last_line(parent), _nested(rest, value, column))


def _deepest(root: Node, parts: list[str]) -> tuple[Node, list[str]]:
    """Return the innermost node of a path that exists, and the parts of the path below it."""
    node = root
    for at, part in enumerate(parts):
        below = None
        if node.id == "mapping":
            below = next((value for name, value in node.value if name.value == part), None)
        if below is None:
            return node, parts[at:]
        node = below
    return node, []


def _extent(root: Node, leaf: _Leaf) -> tuple[int, int]:
    """Return the first and the last line to delete with a key.

    They include each section that would be left empty.
    """
    first = leaf.name.start_mark.line
    last = leaf.value.end_mark.line
    node = root
    for part in leaf.path.split(".")[:-1]:
        name, below = next(item for item in node.value if item[0].value == part)
        if all(len(each.value) == 1 for each in _mappings(below)):
            return name.start_mark.line, last
        node = below
    return first, last


def _mappings(node: Node) -> Iterator[Node]:
    yield node
    for _, value in node.value:
        if value.id == "mapping":
            yield from _mappings(value)


def _last_line(node: Node) -> int:
    """Return the line in which the last value of a block ends.

    The end mark of the block itself lies behind the comments that follow.
    """
    while node.id == "mapping" and not node.flow_style and node.value:
        node = node.value[-1][1]
    line: int = node.end_mark.line
    return line


def _insert(text: str, line: int, new: str) -> str:
    """Return the text with whole lines inserted after the given one."""
    lines = text.splitlines(keepends=True)
    before = "".join(lines[: line + 1])
    return f"{before}{_newline(before)}{new}{''.join(lines[line + 1 :])}"


def _nested(parts: list[str], value: str, column: int) -> str:
    lines = [f"{' ' * (column + at * _INDENT)}{part}:" for at, part in enumerate(parts)]
    return "\n".join(lines) + f" {value}\n"


def _splice(text: str, node: Node, value: str) -> str:
    return f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"


def _newline(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"


def _scalar(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


def _is_null(node: Node) -> bool:
    return bool(node.id == "scalar" and node.value in _NULLS and not node.style)


def _check(before: dict[str, Assignment], edited: str, path: str, source: str) -> None:
    """Check that an edit changed one key only; other YAML must be edited by hand."""
    try:
        after = parse(edited, source)
    except UsageError as error:
        raise UsageError(
            f"{source} has a layout that cannot be edited automatically: change it by hand"
        ) from error
    changed = {key: each.value for key, each in after.items() if key != path}
    if changed != {key: each.value for key, each in before.items() if key != path}:
        raise UsageError(
            f"{source} has a layout that cannot be edited automatically: change it by hand"
        )


def _error(source: str, line: int, problem: str) -> UsageError:
    return UsageError(f"{source} line {line}: {problem}")
