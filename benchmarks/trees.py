"""The trees that are measured: how many files, where they lie, what is in them."""

from __future__ import annotations

import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from heliosfs.workspace.nodes import DirNode, FileNode
from heliosfs.workspace.workspace import Workspace

FANOUT = 33
"""Entries of a directory in a nested tree."""
HOT_BYTES = 10_240
"""Size of the files that change."""
_COLD_BYTES = 200
_HOT_COUNT = 64
_LINE_BYTES = 64


@dataclass(frozen=True)
class Tree:
    """A tree by its shape: `directories` of equal size, or nested ones if that is 0."""

    file_count: int
    directories: int = 0

    @property
    def name(self) -> str:
        shape = f" in {self.directories:,} directories" if self.directories else ""
        return f"{self.file_count:,} files{shape}"

    def path(self, index: int) -> str:
        """Return the path of the file of that number."""
        if self.directories:
            return f"d{index % self.directories:04}/f{index // self.directories:04}"
        return nested_path(index, self.file_count)

    @cached_property
    def hot(self) -> list[str]:
        """The files that change, spread over the tree."""
        count = min(_HOT_COUNT, self.file_count)
        return [self.path(index * self.file_count // count) for index in range(count)]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file and its bytes; the hot ones are larger."""
        hot = set(self.hot)
        for index in range(self.file_count):
            path = self.path(index)
            yield path, text(path, HOT_BYTES if path in hot else _COLD_BYTES)


def nested_path(index: int, count: int) -> str:
    """The path of a file in a tree of `count` whose directories hold up to `FANOUT` entries.

    >>> nested_path(0, 1_000), nested_path(999, 1_000)
    ('d00/f00', 'd30/f09')
    """
    parts = [f"f{index % FANOUT:02}"]
    groups, index = -(-count // FANOUT), index // FANOUT
    while groups > 1:
        parts.append(f"d{index % FANOUT:02}")
        groups, index = -(-groups // FANOUT), index // FANOUT
    return "/".join(reversed(parts))


def text(seed: str, size_bytes: int) -> bytes:
    """Lines like those of a program: alike, and no two the same."""
    lines = (b"    %s_%05d = compute(%05d, options)" % (seed.encode(), at, at * 7919 % 99991)
             for at in range(size_bytes // 32 + 1))  # fmt: skip
    return b"\n".join(lines)[: size_bytes - 1] + b"\n"


def revised(data: bytes, number: int) -> bytes:
    """The bytes with a small edit in the middle of a line, another one for each number."""
    lines = len(data) // _LINE_BYTES
    at = number * 37 % lines * _LINE_BYTES
    edit = b"edit %010d" % number
    return data[:at] + edit + data[at + len(edit) :]


def versions(size_bytes: int, count: int) -> Iterator[bytes]:
    """Versions of a file, each with a small edit to the one before: they add up."""
    dice = random.Random(1)
    lines = text("version", size_bytes).split(b"\n")
    for number in range(count):
        at = dice.randrange(len(lines))
        if number % 4 == 0:
            lines.insert(at, b"    inserted_%05d = %d" % (number, dice.randrange(10**6)))
        elif number % 4 == 2:
            del lines[at]
        else:
            lines[at] = b"    changed_%05d = compute(%d)" % (number, dice.randrange(10**6))
        yield b"\n".join(lines)


def write_tree(tree: Tree, root: Path) -> None:
    """Make the tree in a directory, which exists."""
    made = set()
    for path, data in tree.files():
        file = root / path
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_bytes(data)


def fill(tree: Tree, workspace: Workspace) -> dict[str, FileNode]:
    """Make the tree in an empty workspace; return the hot files."""
    root = workspace.root
    directories = {"": root}
    hot = set(tree.hot)
    found = {}
    for path, data in tree.files():
        parent, _, name = path.rpartition("/")
        directory = directories.get(parent) or _make_directory(workspace, directories, parent)
        node = workspace.create(directory, name.encode(), stat.S_IFREG | 0o644, root.uid, root.gid)
        assert isinstance(node, FileNode)
        workspace.working_set.write(node, 0, data)
        if path in hot:
            found[path] = node
    return found


def _make_directory(workspace: Workspace, directories: dict[str, DirNode], path: str) -> DirNode:
    parent, _, name = path.rpartition("/")
    above = directories.get(parent) or _make_directory(workspace, directories, parent)
    node = workspace.create(above, name.encode(), stat.S_IFDIR | 0o755, above.uid, above.gid)
    assert isinstance(node, DirNode)
    directories[path] = node
    return node
